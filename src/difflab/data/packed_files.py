"""The contents of a packed data set, by number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from difflab.data.file_spans import FileSpans
from difflab.data.file_store import FileStore
from difflab.data.image_file import unreadable
from difflab.data.shard_index import ShardIndex


class PackedFiles(FileStore):
    """Names are "0", "1", ...: the index's own names stay on disk, where a million of them belong.

    folder   of the shards
    index    what they hold, which was checked
    """

    def __init__(self, folder: Path, index: ShardIndex):
        self._folder, self.name = folder, str(folder)
        self._shards = [shard.file for shard in index.shards]
        counts = torch.tensor([len(shard.names) for shard in index.shards])
        self._first = (counts.cumsum(0) - counts).tolist()
        # an element of a numpy array is read in a tenth of the time of a tensor's
        self._shard = torch.repeat_interleave(torch.arange(len(counts)), counts).numpy()
        self._offset = np.array([offset for shard in index.shards for offset in shard.offsets], np.int64)
        self._size = np.array([size for shard in index.shards for size in shard.sizes], np.int64)
        self._plan = index.plan
        self._spans = FileSpans()

    def read(self, name: str) -> bytes:
        number = int(name)
        shard = self._folder / self._shards[int(self._shard[number])]
        try:
            return self._spans.read(shard, int(self._offset[number]), int(self._size[number]))
        except OSError as error:
            raise unreadable(self.where(name), error) from error

    def where(self, name: str) -> str:
        shard = int(self._shard[int(name)])
        return f"{self._folder / self._shards[shard]}, example {int(name) - self._first[shard]} (image {name})"

    def stamp(self, names: Sequence[str]) -> str:
        return repr((str(self._folder.absolute()), self._plan, len(names)))
