"""Parquet, as the Hugging Face hub has it: `datasets.load_dataset(folder)` gives images and class names."""

from __future__ import annotations

import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.data.errors import DataError
from difflab.data.packing.shard_format import Example, ShardFormat
from difflab.data.shard_index import ShardIndex
from difflab.invocation import installation


class Parquet(ShardFormat):
    """Columns: image {bytes, path}, label (where there are classes). Encoded images do not compress, so they are stored plain:
    each is found in the file, behind its length in 4 bytes, and reading one needs neither its row group nor a library.
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
