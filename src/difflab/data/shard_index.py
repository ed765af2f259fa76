"""What lies in which shard: the file `packed.json` beside the shards of a packed data set."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.data.errors import DataError
from difflab.data.file_store import checked_content
from difflab.data.labels import LARGEST_INDEX, check_class, check_names
from difflab.files import write_json
from difflab.reading import read_json, shown
from difflab.reading.archives import check_inside
from difflab.reading.json import fields
from difflab.runtime.foreign_code import file_stamps

INDEX = "packed.json"
WORK = ".packing"
"""Folder of what is known of an unfinished packing: the plan, and a note for each finished shard."""

VERSION = 1
AGAIN = "Copy it again, or pack the data set again."


_KINDS: dict[str, type | tuple[type, ...]] = {
    "format": str,
    "source": str,
    "image_size": (int, type(None)),
    "shape": (list, type(None)),
    "class_names": list,
    "content": str,
    "plan": str,
    "shards": list,
}
_KINDS_OF_SHARD: dict[str, type | tuple[type, ...]] = {
    "file": str,
    "bytes": int,
    "crc32": int,
    "names": list,
    "labels": (list, type(None)),
    "offsets": list,
    "sizes": list,
}


@dataclass(frozen=True)
class Shard:
    """A file that holds examples: each one's content is `sizes[i]` bytes from `offsets[i]` on, whatever the format around it.

    Attributes:
        names: Of the examples in the source.
        labels: a class number each, or None.
    """

    file: str
    bytes: int
    crc32: int
    names: list[str]
    labels: list[int] | None
    offsets: list[int]
    sizes: list[int]


@dataclass(frozen=True)
class ShardIndex:
    """A packed data set.

    Attributes:
        format: Webdataset, mds, parquet: what other programs call it.
        source: What it was packed from, for people.
        image_size: Side to which images were resized and cropped; None: files are as they were.
        shape: [C, H, W] of arrays that are no images (latents); None for images.
        content: `hash_of` the names and contents: that of the source.
        plan: Hash of the source's state and of the settings, by which the same command is recognized.
    """

    format: str
    source: str
    image_size: int | None
    shape: list[int] | None
    class_names: list[str]
    content: str
    plan: str
    shards: list[Shard]
    version: int = VERSION

    def __len__(self) -> int:
        return sum(len(shard.names) for shard in self.shards)

    @property
    def labels(self) -> list[int] | None:
        """Of all examples in order."""
        return [label for s in self.shards for label in s.labels or ()] if self.class_names else None

    def save(self, folder: Path) -> None:
        """Writes the index whole or not at all."""
        write_json(folder / INDEX, dataclasses.asdict(self), indent=None)

    def check(self, folder: Path) -> None:
        """Raises a DataError that names a missing or damaged shard. Sizes are looked at each time, checksums after a change."""
        for shard in self.shards:
            path = folder / shard.file
            if not path.is_file():
                raise DataError(f"{path} is missing: {INDEX} lists it. {AGAIN}")
            if path.stat().st_size != shard.bytes:
                raise DataError(f"{path} has {path.stat().st_size} bytes and should have {shard.bytes}. {AGAIN}")
        checked_content(str(folder), lambda: self._stamp(folder), lambda: self._checksums(folder))

    def _stamp(self, folder: Path) -> str:
        sums = [(shard.file, shard.crc32) for shard in self.shards]
        return repr(("crc32", str(folder.absolute()), sums, file_stamps(folder / shard.file for shard in self.shards)))

    def _checksums(self, folder: Path) -> str:
        with ThreadPoolExecutor() as pool:
            for shard, found in zip(self.shards, pool.map(lambda s: crc32(folder / s.file), self.shards), strict=True):
                if found != shard.crc32:
                    raise DataError(f"{folder / shard.file} is damaged: its checksum differs from {INDEX}. {AGAIN}")
        return self.content


def read_index(folder: Path) -> ShardIndex:
    """The index beside the shards."""
    path = folder / INDEX
    content = fields(read_json(path, limit=LARGEST_INDEX), path, {"version": int})
    if content["version"] != VERSION:
        raise DataError(f"{path} is of version {content['version']}, this difflab reads {VERSION}. Pack again.")
    fields(content, path, _KINDS)
    shards = [_shard(node, path) for node in content["shards"]]
    labelled = bool(content["class_names"])
    if any((shard.labels is not None) != labelled for shard in shards):
        raise DataError(f"{path} has class names and no labels, or labels and no class names. {AGAIN}")
    content["shards"] = shards
    try:
        index = ShardIndex(**content)
    except TypeError as error:
        raise DataError(f"{path} cannot be read as an index ({error}). {AGAIN}") from error
    if not all(isinstance(name, str) for name in index.class_names):
        raise DataError(f"{path}: the class names are no texts. {AGAIN}")
    if index.shape is not None and [type(side) for side in index.shape] != [int] * 3:
        raise DataError(f"{path}: the shape is {shown(index.shape)}, expected [C, H, H]. {AGAIN}")
    if index.labels is not None and max(index.labels, default=0) >= len(index.class_names):
        raise DataError(f"{path}: label {max(index.labels)} has no class name. {AGAIN}")
    if not len(index):
        raise DataError(f"{path} lists no examples. {AGAIN}")
    return index


def _shard(node: Any, path: Path) -> Shard:
    """One of an index's shards, checked: it lies beside the index, and its examples within it."""
    fields(node, f"{path}: a shard", _KINDS_OF_SHARD)
    try:
        shard = Shard(**node)
    except TypeError as error:
        raise DataError(f"{path}: a shard cannot be read ({error}). {AGAIN}") from error
    columns = (shard.names, shard.offsets, shard.sizes, shard.names if shard.labels is None else shard.labels)
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"{path}: the columns of {shown(shard.file)} differ in length. {AGAIN}")
    check_inside([shard.file], path)
    if not all(isinstance(name, str) for name in shard.names):
        raise DataError(f"{path}: the names in {shard.file} are no texts. {AGAIN}")
    check_names(shard.names, f"{path}: {shard.file}")
    for offset, size in zip(shard.offsets, shard.sizes, strict=True):
        if not (type(offset) is int and type(size) is int and 0 <= offset <= offset + size <= shard.bytes):
            raise DataError(f"{path}: an example of {shard.file} lies at {shown(offset)}, beyond it. {AGAIN}")
    for label in set(shard.labels or ()) if all(type(label) is int for label in shard.labels or ()) else (None,):
        check_class(label, f"{path}: a label of {shard.file}")
    return shard


def digest_of(content: bytes) -> bytes:
    """The hash of one file."""
    return hashlib.blake2b(content, digest_size=16).digest()


def hash_of(names: Sequence[str], digests: Iterable[bytes]) -> str:
    """The hash of files with these names and `digest_of` each: the same wherever they lie."""
    digest = hashlib.blake2b(digest_size=16)
    for name, one in zip(names, digests, strict=True):
        digest.update(name.encode() + b"\0" + one)
    return digest.hexdigest()


def crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            value = zlib.crc32(block, value)
    return value
