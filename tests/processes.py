"""What tests ask of the processes that they start."""

import time
from pathlib import Path


def is_gone(process: int, seconds: float = 20) -> bool:
    """Whether a process ends within these seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
