"""An environment that has what a lock names and nothing else, without installing anything: links to the packages of this one."""

import re
import subprocess
import sys
from collections.abc import Collection
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> dict[str, str]:
    """Package -> exact version and marker, as a lock has them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))


def lean(folder: Path, without: Collection[str] = ()) -> Path:
    """Makes an environment with requirements.lock and difflab.

    Args:
        folder: Of the environment; made here.
        without: Packages of the lock that are missing all the same.

    Returns:
        Its python.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    wanted = {canonical(name) for name in locked(ROOT / "requirements.lock")} - set(without)
    for one in distributions():
        if canonical(one.name) not in wanted:
            continue
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            link, target = site / top, Path(str(one.locate_file(top)))
            if not top.endswith(".pth") and not link.exists():
                link.symlink_to(target)
    (site / "difflab.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    return python
