"""Packed images and latents in shards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.image_file import unreadable
from difflab.data.shard_index import INDEX, WORK, ShardIndex, read_index
from difflab.data.tar_shards import FileSpans, TarShards
from difflab.reading.arrays import parse_array
from difflab.types import ImageSize, sides, size_of


class PackedFiles(FileStore):
    """Names are "0", "1", ...: the index's own names stay on disk, where a million of them belong.

    Args:
        folder: Of the shards.
        index: What they hold, which was checked.
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


class ShardedImages(EncodedImages):
    """A data set that `difflab data pack` made, or anybody's WebDataset shards with a .cls file per image.

    Of its own shards (WebDataset, MDS or Parquet) the index says where each image lies; of others the headers are read once. An image is
    one read at a known place, so every order is possible and nothing has to fit into memory. The fingerprint of a packed set is that of the
    folder or zip it was packed from, unless images were resized.

    Args:
        root: The folder of shards.
        image_size: Side of the square to which every image is resized and centre-cropped, or [H, W].
        channels: 3 colour, 1 grey.
    """

    def __init__(self, root: str | Path, image_size: ImageSize, channels: int = 3):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root.absolute()} is no folder. Set data.dataset.root to the folder of your shards.")
        if (self.root / INDEX).is_file():
            index = read_index(self.root)
            if index.shape is not None:
                raise DataError(f"{self.root} holds arrays of the shape {index.shape}, no images. Use data=latents.")
            if index.image_size is not None and index.image_size < min(sides(image_size)):
                raise DataError(
                    f"{self.root} was packed at image_size={index.image_size}, smaller than {image_size}. "
                    f"Set data.image_size={index.image_size}, or pack the source again."
                )
            index.check(self.root)
            files: FileStore = PackedFiles(self.root, index)
            names = [str(number) for number in range(len(index))]
            labels = None if index.labels is None else torch.tensor(index.labels)
            class_names, content = index.class_names, index.content
        elif (self.root / WORK).is_dir():
            raise DataError(f"{self.root} is not finished: run `difflab data pack` as before, and it goes on.")
        elif any(self.root.glob("*.tar")):
            files = shards = TarShards(self.root)
            names, labels = shards.names, shards.labels
            class_names = [] if labels is None else [str(number) for number in range(int(labels.max()) + 1)]
            content = None
        else:
            raise DataError(
                f"{self.root.absolute()} has neither {INDEX} nor *.tar. Make shards with `difflab data pack SOURCE OUT`, or "
                "read other Parquet files with data=huggingface."
            )
        super().__init__(files, names, labels, class_names, image_size, channels, content)


class ShardedLatents(ImageDataset):
    """Arrays [C, H, W] that `difflab data pack` or `cached_latents` put into shards, as float32 and in the units they have.

    Args:
        root: The folder of shards.
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
        channels, *size = index.shape
        labels = None if index.labels is None else torch.tensor(index.labels)
        super().__init__(size_of(size), channels, labels, index.class_names)
        self.is_encoded = True

    def __len__(self) -> int:
        return self._length

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        """[n, C, H, W] float32."""
        return torch.stack([self._array(str(index)) for index in torch.as_tensor(indices).tolist()])

    def hash_content(self) -> str:
        labels = None if self.labels is None else self.labels.tolist()
        content = (self._content, labels, self.class_names, self.image_size, self.channels, "latents")
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _array(self, name: str) -> Tensor:
        array = parse_array(self._files.read(name), self._files.where(name))
        return torch.from_numpy(array.astype(np.float32, copy=False))
