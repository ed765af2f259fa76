"""MDS, the shards of MosaicML Streaming (github.com/mosaicml/streaming), version 2 of the format.

A shard, integers being little-endian uint32:

    n, position of example 0 .. n - 1 and of the end, JSON that describes the columns, examples

An example is the sizes of its columns of varying size, then the columns in the order of their names. Written here rather than by the
library, which would fix the versions of numpy and of a dozen clients of clouds.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.data.packing.shard_format import Example, ShardFormat
from difflab.data.shard_index import ShardIndex


class Mds(ShardFormat):
    """Columns: image (bytes), label (int, where there are classes), name (str)."""

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
