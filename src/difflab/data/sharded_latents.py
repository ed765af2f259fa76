"""Latents in shards: arrays of floats that an encoder made of images, for models that work on these."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.data.packed_files import PackedFiles
from difflab.data.shard_index import INDEX, read_index
from difflab.reading.arrays import parse_array


class ShardedLatents(ImageDataset):
    """Arrays [C, H, H] that `difflab data pack` or `cached_latents` put into shards, as float32 and in the units they have.

    root   the folder of shards
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not (self.root / INDEX).is_file():
            raise DataError(
                f"{self.root.absolute()} has no {INDEX}. Pack a folder of .npy files with `difflab data pack`."
            )
        index = read_index(self.root)
        if index.shape is None:
            raise DataError(f"{self.root} holds images, no latents. Use data=webdataset.")
        index.check(self.root)
        self._files, self._content, self._length = PackedFiles(self.root, index), index.content, len(index)
        channels, height, _ = index.shape
        labels = None if index.labels is None else torch.tensor(index.labels)
        super().__init__(height, channels, labels, index.class_names)
        self.are_pictures = False

    def __len__(self) -> int:
        return self._length

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        """[n, C, H, W] float32"""
        return torch.stack([self._array(str(index)) for index in torch.as_tensor(indices).tolist()])

    def hash_content(self) -> str:
        labels = None if self.labels is None else self.labels.tolist()
        content = (self._content, labels, self.class_names, self.image_size, self.channels, "latents")
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _array(self, name: str) -> Tensor:
        array = parse_array(self._files.read(name), self._files.where(name))
        return torch.from_numpy(array.astype(np.float32, copy=False))
