"""Tar archives of images as shards, and the spans of files in them."""

from __future__ import annotations

import os
import tarfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from difflab.data.errors import DataError, some, warn
from difflab.data.file_store import FileStore, checked_content
from difflab.data.image_file import EXTENSIONS, unreadable
from difflab.data.labels import LARGEST_LIST, check_class, check_names
from difflab.reading import parse_json, shown
from difflab.reading.json import dumps
from difflab.runtime.foreign_code import file_stamps

OPEN_AT_ONCE = 128
"""Files that are kept open: opening one costs a round trip on a shared file system, and a process may not keep very many."""


class FileSpans:
    """Reads with `pread`, which has no position that threads or forked workers would share."""

    def __init__(self):
        self._open: OrderedDict[Path, _Descriptor] = OrderedDict()
        self._lock = Lock()

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; an OSError if there are fewer."""
        descriptor = self._descriptor(path)
        content = os.pread(descriptor.number, size, offset)
        while 0 < len(content) < size:  # one call gives 2 GiB at most
            more = os.pread(descriptor.number, size - len(content), offset + len(content))
            if not more:
                break
            content += more
        if len(content) < size:
            raise OSError(f"{path} ends before byte {offset + size}")
        return content

    def _descriptor(self, path: Path) -> _Descriptor:
        with self._lock:
            if path not in self._open:
                self._open[path] = _Descriptor(path)
                if len(self._open) > OPEN_AT_ONCE:
                    self._open.popitem(last=False)  # closed when the last thread that reads from it lets go
            self._open.move_to_end(path)
            return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {}  # a spawned worker opens its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open, self._lock = OrderedDict(), Lock()


class _Descriptor:
    """An open file."""

    def __init__(self, path: Path):
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self):
        if self.number >= 0:
            os.close(self.number)


LABEL = ".cls"
"""Extension of the file that holds an example's class number as text."""

_LABEL = 64
"""Bytes of such a file that are read."""


class TarShards(FileStore):
    """000000.png, 000000.cls, 000001.png, ... in *.tar, in the order of the shards' names. Other files of an example are left alone.

    The headers of all files are read once and remembered until a shard changes.

    Attributes:
        path: a folder of shards, or one shard.
        names: Of the images, shard first.
        labels: [N] int64, or None if no example has a class.
    """

    def __init__(self, path: Path):
        self.name = str(path)
        self.shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
        self._spans = FileSpans()
        headers = checked_content(
            str(path),
            lambda: repr(("tar headers", self.stamp([]))),
            lambda: dumps(self._scanned()),
        )
        scanned = parse_json(headers, f"what was found in {path}", list, LARGEST_LIST)
        self._places: dict[str, tuple[Path, int, int]] = {
            f"{shard.name}/{member}": (shard, offset, size)
            for shard, found in zip(self.shards, scanned, strict=True)
            for member, offset, size, _ in found
        }
        classes = [number for found in scanned for *_, number in found]
        self.names = list(self._places)
        check_names(self.names, str(path))
        if not self.names:
            raise DataError(f"{path}: no image in the shards. Put {'/'.join(EXTENSIONS[:3])} files there.")
        self.labels = self._labels(classes)

    def read(self, name: str) -> bytes:
        shard, offset, size = self._places[name]
        try:
            return self._spans.read(shard, offset, size)
        except OSError as error:
            raise unreadable(self.where(name), error) from error

    def where(self, name: str) -> str:
        return str(self.shards[0].parent / name)

    def stamp(self, names: Sequence[str]) -> str:
        return repr(([str(shard.absolute()) for shard in self.shards], file_stamps(self.shards)))

    def _scanned(self) -> list[list[tuple[str, int, int, int | None]]]:
        return [_scan(shard) for shard in self.shards]

    def _labels(self, classes: list[int | None]) -> Tensor | None:
        if all(number is None for number in classes):
            return None
        for index, number in enumerate(classes):
            if number is None:
                raise DataError(
                    f"{self.where(self.names[index])} (image {index}) has no {LABEL} file, as others have. Add one."
                )
        return torch.tensor(classes)


def _scan(shard: Path) -> list[tuple[str, int, int, int | None]]:
    """(name, offset, size, class) of the images of a shard."""
    images: dict[str, tuple[str, int, int]] = {}
    classes: dict[str, int] = {}
    others: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                folder, _, file = member.name.rpartition("/")
                stem, dot, extension = file.partition(".")
                key, extension = f"{folder}/{stem}", f"{dot}{extension}".lower()
                if extension in EXTENSIONS:
                    if key in images:
                        raise DataError(
                            f"{shard}: {images[key][0]} and {member.name} are images of one example; keep one."
                        )
                    images[key] = (member.name, member.offset_data, member.size)
                elif extension == LABEL:
                    stream = archive.extractfile(member)
                    classes[key] = _class_number(stream.read(_LABEL) if stream else b"", f"{shard}/{member.name}")
                else:
                    others[key] = member.name
            _check_end(shard, archive.offset)
    except DataError:
        raise
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise DataError(
            f"{shard} cannot be read as an uncompressed tar ({error}); it may be truncated. Make it again."
        ) from error
    if alone := sorted(classes.keys() - images.keys()):
        raise DataError(f"{shard} has a class for {alone[0].lstrip('/')}, but no image. Add it, or remove the class.")
    if without := [file for key, file in others.items() if key not in images]:
        warn(f"{shard}: {len(without):,} examples without an image are left out: {some(without[:3], len(without))}")
    return [(*place, classes.get(key)) for key, place in images.items()]


def _class_number(content: bytes, where: str) -> int:
    text = content.decode("ascii", "replace").strip()
    if not text.isdecimal():
        raise DataError(f"{where} holds {shown(text, 20)!r}; expected a class number 0, 1, ...")
    check_class(int(text), f"{where}: its class")
    return int(text)


def _check_end(shard: Path, offset: int) -> None:
    """An archive ends with zeros; where they are missing it was cut off between two files."""
    with shard.open("rb") as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("its end is missing")
