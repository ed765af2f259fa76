"""What defines a set of images, and the folder that is bound to it.

plan.json      everything on which the images depend, as dotted fields: weights, sampler, guidance, seeds, batch size ... Not the number
               of images, which may grow, nor that of processes
shards/        what is drawn so far
complete.json  what was written of it, once all is done
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from difflab.metrics import Protocol
from difflab.sampling.errors import SamplingError
from difflab.sampling.shards import ShardFolder
from difflab.sampling.whole import clear_remains, whole_file

PLAN_FILE = "plan.json"
COMPLETE_FILE = "complete.json"

DRAWING = ("sampler", "guidance", "track", "classes", "precision", "quantization")
"""Fields of a plan, and those below them, that belong to the protocol of a number that is measured on the images."""


class SetFolder:
    """The folder of a set of images.

    path        the folder
    plan        what defines the images
    batch_size  images per shard
    """

    def __init__(self, path: str | Path, plan: Protocol, batch_size: int):
        self.path = Path(path)
        self.plan = plan
        self.shards = ShardFolder(self.path / "shards", batch_size)
        self._plan_file = self.path / PLAN_FILE
        self._complete_file = self.path / COMPLETE_FILE
        self._lock = FileLock(self.path / ".lock")

    def check(self) -> None:
        """A SamplingError if other images lie here."""
        if not self._plan_file.exists():
            return
        try:
            there = Protocol(dict(json.loads(self._plan_file.read_text())["plan"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SamplingError(f"{self._plan_file} is damaged: choose out=elsewhere or overwrite=true") from error
        if differences := there.differences(self.plan):
            raise SamplingError(
                f"{self.path} holds images that were drawn in another way, then against now: {'; '.join(map(str, differences))}. "
                "Choose out=elsewhere, or overwrite=true to replace them"
            )

    def begin(self, num_samples: int, overwrite: bool) -> None:
        """Takes the folder: one process at a time. Clears what a killed one left half written, and if `overwrite` other images."""
        self.shards.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0.5)
        except Timeout:
            raise SamplingError(
                f"another process is drawing into {self.path}: wait for it, or choose out=elsewhere"
            ) from None
        try:
            self.check()
        except SamplingError:
            if not overwrite:
                raise
            self.remove_shards()
        self.shards.path.mkdir(exist_ok=True)
        self._complete_file.unlink(missing_ok=True)
        for folder in (self.path, self.shards.path):
            clear_remains(folder)
        text = json.dumps({"num_samples": num_samples, "plan": dict(self.plan.fields)}, indent=2)
        with whole_file(self._plan_file) as path:
            path.write_text(text)

    def end(self) -> None:
        """Gives the folder back."""
        self._lock.release()

    def missing(self, num_samples: int) -> list[int]:
        """Numbers of the shards that are still to be drawn."""
        size = self.shards.batch_size
        count = min(size, num_samples)
        return [k for k in range(-(-num_samples // size)) if not self.shards.holds(k, count)]

    def finish(self, written: Mapping[str, Path], request: Mapping[str, Any]) -> None:
        """Marks the set as complete: what was written, and what had been asked for."""
        files = {name: path.relative_to(self.path).as_posix() for name, path in written.items()}
        with whole_file(self._complete_file) as path:
            path.write_text(json.dumps({"files": files, "request": dict(request)}, indent=2))

    def finished(self, request: Mapping[str, Any]) -> dict[str, Path] | None:
        """What was written when exactly this was asked for; None if it was not, or if some of it is gone."""
        try:
            content = json.loads(self._complete_file.read_text())
        except (OSError, ValueError):
            return None
        files = {name: self.path / path for name, path in content["files"].items()}
        return files if content["request"] == request and all(path.exists() for path in files.values()) else None

    def was_emptied(self) -> bool:
        """Whether a set was completed here of which there are no shards any more."""
        return self._complete_file.exists() and not self.shards.path.exists()

    def remove_shards(self) -> None:
        shutil.rmtree(self.shards.path, ignore_errors=True)


def read_set(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """The forms in which the images of a complete set lie in a folder, and how they were drawn (dotted fields)."""
    try:
        plan = json.loads((folder / PLAN_FILE).read_text())
        files = json.loads((folder / COMPLETE_FILE).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise SamplingError(
            f"the images in {folder} are not complete: run the command that draws them again"
        ) from error
    written = [folder / path for name, path in files.items() if name != "grid" and (folder / path).exists()]
    if not written:
        raise SamplingError(f"{folder} has no images in a format that can be read: draw them with format=npz")
    drawing = {n: v for n, v in plan["plan"].items() if n in DRAWING or n.startswith(tuple(f"{p}." for p in DRAWING))}
    first = plan["plan"]["first_seed"]
    return written, drawing | {"seeds": f"{first} .. {first + plan['num_samples'] - 1}"}
