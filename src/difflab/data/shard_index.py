"""What lies in which shard: the file `packed.json` beside the shards of a packed data set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from difflab.data.checked_content import checked_content
from difflab.data.errors import DataError
from difflab.file_stamp import file_stamps
from difflab.files import write_json

INDEX = "packed.json"
WORK = ".packing"
"""Folder of what is known of an unfinished packing: the plan, and a note for each finished shard."""

VERSION = 1
AGAIN = "Copy it again, or pack the data set again."


@dataclass(frozen=True)
class Shard:
    """A file that holds examples: each one's content is `sizes[i]` bytes from `offsets[i]` on, whatever the format around it.

    names   of the examples in the source
    labels  a class number each, or None
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

    format      webdataset, mds, parquet: what other programs call it
    source      what it was packed from, for people
    image_size  side to which images were resized and cropped; None: files are as they were
    shape       [C, H, W] of arrays that are no images (latents); None for images
    content     `hash_of` the names and contents: that of the source
    plan        hash of the source's state and of the settings, by which the same command is recognized
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
    try:
        fields = json.loads(path.read_bytes())
        if fields["version"] != VERSION:
            raise DataError(f"{path} is of version {fields['version']}, this difflab reads {VERSION}. Pack again.")
        index = ShardIndex(**{**fields, "shards": [Shard(**shard) for shard in fields["shards"]]})
        counts = [[len(x) for x in (s.labels or s.names, s.offsets, s.sizes)] for s in index.shards]
        if any(count != [len(s.names)] * 3 for s, count in zip(index.shards, counts, strict=True)):
            raise ValueError("its columns differ in length")
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as an index ({error!r}). {AGAIN}") from error
    return index


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
