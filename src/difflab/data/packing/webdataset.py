"""WebDataset: 000000000.png, 000000000.cls, 000000001.png, ... in uncompressed tar files (github.com/webdataset/webdataset)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from difflab.data.packing.shard_format import Example, ShardFormat
from difflab.data.shard_index import ShardIndex
from difflab.data.tar_shards import LABEL


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
