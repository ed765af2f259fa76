"""Formats of shards that a set is packed into: WebDataset, MDS, Parquet."""

from __future__ import annotations

import io
import itertools
import json
import mmap
import struct
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from difflab.data.errors import DataError
from difflab.data.shard_index import ShardIndex
from difflab.data.tar_shards import LABEL
from difflab.runtime.invocation import installation


class Example(NamedTuple):
    """What is written of an example.

    Attributes:
        number: In the whole data set.
        name: In the source.
        content: The encoded image, or array.
        extension: That says how it is encoded, with the dot.
        label: Class number, or None.
    """

    number: int
    name: str
    content: bytes
    extension: str
    label: int | None


class ShardFormat(ABC):
    """Formats keep the content of an example as it is, in one piece; so `ShardIndex` can say where it lies, and one reader reads all."""

    name: str
    extension: str
    largest: int = 2**63
    """Bytes that a shard may have."""

    @abstractmethod
    def write(self, path: Path, examples: Sequence[Example], class_names: Sequence[str]) -> list[int]:
        """Writes a shard; the position of each content in it."""

    @abstractmethod
    def side_files(self, folder: Path, index: ShardIndex) -> dict[str, bytes]:
        """Files that the format wants beside the shards (name -> content), once these are complete."""


class WebDataset(ShardFormat):
    """The key of an example is its number: names of the source may hold dots, which end a key."""

    name = "webdataset"
    extension = ".tar"

    def write(self, path: Path, examples: Sequence[Example], class_names: Sequence[str]) -> list[int]:
        offsets = []
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for example in examples:
                key = f"{example.number:09}"
                offsets.append(archive.offset + tarfile.BLOCKSIZE)
                _add(archive, key + example.extension, example.content)
                if example.label is not None:
                    _add(archive, key + LABEL, str(example.label).encode())
        return offsets

    def side_files(self, folder: Path, index: ShardIndex) -> dict[str, bytes]:
        return {}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # no time, no owner: the same examples make the same bytes
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


class Mds(ShardFormat):
    """MDS, the shards of MosaicML Streaming (github.com/mosaicml/streaming), version 2 of the format.

    A shard, integers being little-endian uint32:

        n, position of example 0 .. n - 1 and of the end, JSON that describes the columns, examples

    An example is the sizes of its columns of varying size, then the columns in the order of their names. Written here rather than by the
    library, which would fix the versions of numpy and of a dozen clients of clouds.

    Columns: image (bytes), label (int, where there are classes), name (str).
    """

    name = "mds"
    extension = ".mds"
    largest = 2**32 - 1

    def write(self, path: Path, examples: Sequence[Example], class_names: Sequence[str]) -> list[int]:
        columns = json.dumps(_columns(bool(class_names)), sort_keys=True).encode()
        names = [example.name.encode() for example in examples]
        fixed = 8 + (8 if class_names else 0)  # two sizes, the label
        sizes = [fixed + len(e.content) + len(name) for e, name in zip(examples, names, strict=True)]
        start = 4 + 4 * (len(examples) + 1) + len(columns)
        positions = list(itertools.accumulate(sizes, initial=start))
        with path.open("wb") as file:
            file.write(struct.pack(f"<{len(examples) + 2}I", len(examples), *positions) + columns)
            for example, name in zip(examples, names, strict=True):
                label = b"" if example.label is None else struct.pack("<q", example.label)
                file.write(struct.pack("<2I", len(example.content), len(name)) + example.content + label + name)
        return [position + 8 for position in positions[:-1]]

    def side_files(self, folder: Path, index: ShardIndex) -> dict[str, bytes]:
        shards = [
            {
                **_columns(bool(index.class_names)),
                "raw_data": {"basename": shard.file, "bytes": shard.bytes, "hashes": {}},
                "samples": len(shard.names),
                "zip_data": None,
            }
            for shard in index.shards
        ]
        return {"index.json": json.dumps({"shards": shards, "version": 2}, sort_keys=True).encode()}


def _columns(labelled: bool) -> dict[str, Any]:
    columns = [("image", "bytes", None), *([("label", "int", 8)] if labelled else []), ("name", "str", None)]
    names, encodings, sizes = zip(*columns, strict=True)
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": None,
        "column_names": names,
        "column_encodings": encodings,
        "column_sizes": sizes,
    }


class Parquet(ShardFormat):
    """Columns: image {bytes, path}, label (where there are classes).

    Encoded images do not compress, so they are stored plain: each is found in the file, behind its length in 4 bytes, and reading one needs
    neither its row group nor a library.
    """

    name = "parquet"
    extension = ".parquet"
    largest = 2**31 - 1  # a column of bytes in one piece

    def write(self, path: Path, examples: Sequence[Example], class_names: Sequence[str]) -> list[int]:
        pyarrow, parquet = _library()
        content = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        image = pyarrow.array([{"bytes": e.content, "path": e.name} for e in examples], content)
        features: dict[str, Any] = {"image": {"_type": "Image"}}
        columns = {"image": image}
        if class_names:
            features["label"] = {"names": list(class_names), "_type": "ClassLabel"}
            columns["label"] = pyarrow.array([e.label for e in examples], pyarrow.int64())
        table = pyarrow.table(columns).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}}, allow_nan=False)}
        )
        parquet.write_table(
            table,
            path,
            row_group_size=len(examples),
            compression="none",
            use_dictionary=False,
            column_encoding="PLAIN",
            write_statistics=False,
            data_page_version="1.0",
        )
        return _find(path, [example.content for example in examples])

    def side_files(self, folder: Path, index: ShardIndex) -> dict[str, bytes]:
        return {}


def _find(path: Path, contents: Sequence[bytes]) -> list[int]:
    """The contents lie in the file in their order."""
    offsets, end = [], 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        for content in contents:
            start = whole.find(len(content).to_bytes(4, "little") + content, end)
            if start < 0:
                raise DataError(
                    f"{path}: this version of pyarrow does not store images plainly. Choose format=webdataset."
                )
            offsets.append(start + 4)
            end = start + 4 + len(content)
    return offsets


def _library() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"format=parquet needs the package pyarrow: {installation('hub')}") from error
    return pyarrow, pyarrow.parquet
