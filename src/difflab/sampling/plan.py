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
        self._plan_file = self.path / "plan.json"
        self._complete_file = self.path / "complete.json"
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
