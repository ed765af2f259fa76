"""Every reader on every broken file, in a process of its own with bounds: a line of JSON for each that did not end as it should.

python trials.py RUN RESULTS [READER ...]
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

SECONDS = 8
"""That reading one file may take on a busy machine."""

MEGABYTES = 1024
"""Of memory above what was there before."""

TAKEN = (ValueError,)
"""Of which every command makes one line; FileError, ConfigError and StudyError are such. A KeyError and its like are tracebacks."""


class TooSlow(BaseException):
    """The time is over."""


def main() -> None:
    run, results, every, *wanted = sys.argv[1:]
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from readers import readers

    def stop(*_: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    found = readers(Path(run).resolve(), Path(results).read_text(encoding="utf-8"))
    count = 0
    for number, reader in enumerate(found):
        if wanted and not any(reader.name.startswith(name) for name in wanted):
            continue
        began, before = time.monotonic(), count
        folder = Path(reader.name.replace(" ", "-").replace("/", "-")).absolute()
        for name, content in reader.beside.items():
            place(folder / name, content)
        for what, content in itertools.islice(reader.broken(), number % int(every), None, int(every)):
            count += 1
            place(folder / reader.file, content if isinstance(content, bytes) else content())
            if problem := tried(reader.read, folder, Path(reader.file).name):
                print(json.dumps({"reader": reader.name, "file": what, **problem}), flush=True)
            if ran := [path for path in (Path("RAN"), Path("/tmp/RAN.png"), Path("RAN.png")) if path.exists()]:
                print(json.dumps({"reader": reader.name, "file": what, "problem": f"made {ran}"}), flush=True)
                ran[0].unlink()
        print(
            f"{reader.name}: {count - before} files, {time.monotonic() - began:.1f} s, {resident():.0f} MB",
            file=sys.stderr,
        )
    print(json.dumps({"tried": count}))


def place(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tried(read: Any, folder: Path, name: str) -> dict[str, str] | None:
    """What went wrong, where something did."""
    limit(folder)
    before, began = resident(), time.monotonic()
    signal.alarm(SECONDS)
    problem = None
    try:
        read(folder)
    except TooSlow:
        problem = f"took over {SECONDS} s"
    except TAKEN as error:
        text = " ".join(str(error).split())
        if name not in text and str(folder) not in text:
            problem = f"does not name the file: {type(error).__name__}: {text[:200]}"
        elif len(text) > 1200 or any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
            problem = f"is no line for a terminal: {text[:200]!r}"
    except BaseException as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in last if "/difflab/" in frame.filename] or last
        problem = f"{type(error).__name__}: {str(error)[:120]} at {ours[-1].filename.split('/difflab/')[-1]}:{ours[-1].lineno}"
    finally:
        signal.alarm(0)
    if problem is None and (grown := resident("VmHWM") - before) > MEGABYTES:
        problem = f"took {grown:,.0f} MB"
    if problem is None and time.monotonic() - began > SECONDS:
        problem = f"took {time.monotonic() - began:.0f} s"
    return None if problem is None else {"problem": problem}


def limit(folder: Path) -> None:
    """Three times the bound of memory, so that nothing takes the machine with it; and the high-water mark begins anew."""
    most = int((resident("VmSize") + 3 * MEGABYTES) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def resident(field: str = "VmRSS") -> float:
    """MB, as the kernel says."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    os.umask(0o022)
    main()
