"""What defines a set of images, and the folder that is bound to it.

plan.json      everything on which the images depend, as dotted fields: weights, sampler, guidance, seeds, batch size ... Not the number
               of images, which may grow, nor that of processes. Beside it their number, and what is written of them so far
shards/        what is drawn so far
<part>.txt     what each image was drawn for, a line for each, where that can be read, as captions
complete.json  what was written of it, once all is done

One folder holds one set: what plan.json and complete.json list of another set, or of fewer or more images, goes when drawing begins.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from difflab.data import ImageSet
from difflab.files import WriteError, clear_remains, make_folder, write_json
from difflab.metrics import Difference, Protocol
from difflab.reading import FileError, read_json
from difflab.reading.archives import check_inside
from difflab.reading.json import fields, in_words, restored
from difflab.sampling.options import PROTOCOL_FIELDS
from difflab.sampling.shards import ShardFolder


class SamplingError(ValueError):
    """Drawing cannot begin or go on. The message is one line that names the place and the remedy."""


class SamplingStopped(Exception):
    """Sampling was interrupted between two batches; what is drawn is kept."""


PLAN_FILE = "plan.json"
LIST = ".txt"
"""Ending of the lists of what images were drawn for."""
COMPLETE_FILE = "complete.json"
BESIDE = "beside/"
"""Beginning of the names of what is written beside a set: it goes when the set does, and the set is complete without it."""


class SampleSet:
    """A set of images on the disk: its folder, bound to what defines it.

    Args:
        path: The folder.
        plan: What defines the images.
        batch_size: Images per shard.
    """

    def __init__(self, path: str | Path, plan: Protocol, batch_size: int):
        self.path = Path(path)
        self.plan = plan
        self.shards = ShardFolder(self.path / "shards", batch_size)
        self._plan_file = self.path / PLAN_FILE
        self._complete_file = self.path / COMPLETE_FILE
        self._lock = FileLock(self.path / ".lock")
        self._shards_stay = True
        self._held: list[SampleSet] = []

    def check(self) -> None:
        """A SamplingError if other images lie here, or what is no set of images at all."""
        self._check_is_set()
        if differences := self._differences():
            raise SamplingError(
                f"{self.path} holds images that were drawn in another way (then against now): {'; '.join(map(str, differences))}. "
                "Choose out=elsewhere, or overwrite=true to replace them"
            )

    def begin(self, num_samples: int, overwrite: bool, keep_shards: bool = True) -> list[Path]:
        """Takes the folder, for one process at a time, and removes what belongs to another set.

        Args:
            num_samples: Images of the whole set.
            overwrite: Images drawn in another way are removed too.
            keep_shards: Whether this command wants its shards to stay; those that a command before it wanted to stay do so anyhow.

        Returns:
            What was removed, half written files apart.
        """
        self._check_is_set()
        make_folder(self.shards.path)
        self._take()
        before = self._before()
        same = before.get("num_samples") == num_samples
        try:
            self.check()
        except SamplingError:
            if not overwrite:
                raise
            self.remove_shards()
            same = False
        make_folder(self.shards.path)
        for folder in (self.path, self.shards.path):
            clear_remains(folder)
        self._shards_stay = keep_shards or (self.shards.any() and before.get("keep_shards", True))
        outdated = [] if same else list(self._listed().values())
        for path in outdated:
            _remove(path)
        if not same:
            self._complete_file.unlink(missing_ok=True)
        self._write_plan(num_samples, before.get("written", {}) if same else {})
        return outdated

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Takes the folder of a complete set, for one process at a time, to write something beside it."""
        self._take()
        try:
            yield
        finally:
            self.end()

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=0.5)
        except Timeout:
            raise SamplingError(
                f"another process is drawing into {self.path}: wait for it, or choose out=elsewhere"
            ) from None
        except OSError as error:
            raise SamplingError(f"{WriteError.of(self.path, error)} Or choose out=elsewhere") from error

    def hold(self, before: SampleSet) -> None:
        """Keeps another folder for as long as this one: images of it are needed to draw those here."""
        self._held.append(before)

    def end(self) -> None:
        """Gives the folder back."""
        self._lock.release()
        while self._held:
            self._held.pop().end()

    def missing(self, num_samples: int) -> list[int]:
        """Numbers of the shards that are still to be drawn."""
        size = self.shards.batch_size
        count = min(size, num_samples)
        return [k for k in range(-(-num_samples // size)) if not self.shards.holds(k, count)]

    def record(self, name: str, path: Path) -> None:
        """Notes a file or folder that was written of this set, so that it goes when the set does."""
        before = self._before()
        self._write_plan(before["num_samples"], before["written"] | {name: self._relative(path)})

    def finish(self, written: Mapping[str, Path], request: Mapping[str, Any], content: str) -> None:
        """Marks the set as complete.

        Args:
            written: What was written now; what earlier commands wrote is known.
            request: What had been asked for.
            content: The images' fingerprint.
        """
        for name, path in written.items():
            self.record(name, path)
        listed = self._listed().items()
        files = {name: self._relative(path) for name, path in listed if not name.startswith(BESIDE)}
        write_json(self._complete_file, {"files": files, "request": in_words(request), "content": content})

    def finished(self, request: Mapping[str, Any]) -> dict[str, Path] | None:
        """What was written when exactly this was asked for; None if it was not, or if some of it is gone."""
        if not self._plan_file.exists():
            return None
        try:
            content = _complete(self.path)
        except FileError:
            return None
        files = {name: self.path / path for name, path in content["files"].items()}
        return (
            files if content["request"] == in_words(request) and all(path.exists() for path in files.values()) else None
        )

    def was_emptied(self) -> bool:
        """Whether this set was completed here, with fewer or more images, and has no shards any more."""
        same = self._before().get("plan") == dict(self.plan.fields)
        return same and self._complete_file.exists() and not self.shards.path.exists()

    def drop_shards(self) -> None:
        """Removes the shards once the set is written in formats, unless this command or one before it wanted them to stay."""
        if not self._shards_stay:
            self.remove_shards()

    def remove_shards(self) -> None:
        shutil.rmtree(self.shards.path, ignore_errors=True)

    def _check_is_set(self) -> None:
        if self._complete_file.exists() and not self._plan_file.exists():
            raise SamplingError(
                f"{self._complete_file} is of something else than a set of images: choose out=elsewhere"
            )

    def _before(self) -> dict[str, Any]:
        """What plan.json says; empty if there is none that can be read."""
        try:
            return _plan(self.path)
        except FileError:
            return {}

    def _differences(self) -> list[Difference]:
        """Between the plan of the images that lie here and this one."""
        if not self._plan_file.exists():
            return []
        try:
            there = Protocol(dict(self._before()["plan"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SamplingError(f"{self._plan_file} is damaged: choose out=elsewhere or overwrite=true") from error
        return there.differences(self.plan)

    def _write_plan(self, num_samples: int, written: Mapping[str, str]) -> None:
        content = {
            "num_samples": num_samples,
            "keep_shards": self._shards_stay,
            "written": dict(written),
            "plan": in_words(self.plan.fields),
        }
        write_json(self._plan_file, content)

    def _listed(self) -> dict[str, Path]:
        """What was written here and is still there, by the two files' word. Nothing outside of the folder is believed."""
        try:
            files = dict(_complete(self.path)["files"])
        except FileError:
            files = {}
        paths = {name: self.path / path for name, path in (files | self._before().get("written", {})).items()}
        root = self.path.resolve()
        return {n: path for n, path in paths.items() if path.exists() and root in path.resolve().parents}

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _plan(folder: Path) -> dict[str, Any]:
    """What plan.json says."""
    file = folder / PLAN_FILE
    plan = fields(restored(read_json(file)), file, {"num_samples": int, "plan": dict})
    written = fields(plan.get("written", {}), file, {})  # earlier versions did not write it down
    fields(written, file, dict.fromkeys(written, str))
    return plan


def _complete(folder: Path) -> dict[str, Any]:
    """What complete.json says; its files lie in the folder."""
    file = folder / COMPLETE_FILE
    content = fields(read_json(file), file, {"files": dict, "request": dict})
    fields(content["files"], file, dict.fromkeys(content["files"], str))
    check_inside(content["files"].values(), file)
    return content


def read_set(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """The forms in which the images of a complete set lie in a folder, and how they were drawn (dotted fields)."""
    try:
        plan, files = _plan(folder), _complete(folder)["files"]
    except FileError as error:
        raise SamplingError(
            f"the images in {folder} are not complete: run the command that draws them again ({error})"
        ) from error
    check_inside(map(str, files.values()), folder / COMPLETE_FILE)
    images = [path for name, path in files.items() if name != "grid" and not name.endswith(LIST)]
    written = [folder / path for path in images if (folder / path).exists()]
    if not written:
        raise SamplingError(f"{folder} has no images in a format that can be read: draw them with format=npz")
    drawing = {
        n: v
        for n, v in plan["plan"].items()
        if n in PROTOCOL_FIELDS or n.startswith(tuple(f"{p}." for p in PROTOCOL_FIELDS))
    }
    first = fields(plan["plan"], folder / PLAN_FILE, {"first_seed": int})["first_seed"]
    return written, drawing | {"seeds": f"{first} .. {first + plan['num_samples'] - 1}"}


def check_written(folder: Path, images: ImageSet) -> None:
    """A SamplingError if these are not the images that were drawn into the folder: what is known of how they were drawn would not hold."""
    drawn = _plan(folder)["num_samples"]
    content = _complete(folder).get("content")  # earlier versions did not write it down
    if len(images) != drawn or content not in (None, images.fingerprint):
        raise SamplingError(
            f"{folder} holds {len(images)} images that are not the {drawn} that were drawn there: some were changed, added or removed. "
            "Draw them again with overwrite=true, or move them elsewhere to measure them without what is known of how they were drawn"
        )
