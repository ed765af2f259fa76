"""Images in shards: few large files instead of millions of small ones, read in any order."""

from __future__ import annotations

from pathlib import Path

import torch

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.packed_files import PackedFiles
from difflab.data.shard_index import INDEX, WORK, read_index
from difflab.data.tar_shards import TarShards


class ShardedImages(EncodedImages):
    """A data set that `difflab data pack` made (WebDataset, MDS or Parquet: the index says where each image lies), or anybody's
    WebDataset shards with a .cls file per image, whose headers are then read once.

    An image is one read at a known place, so every order is possible and nothing has to fit into memory. The fingerprint of a
    packed set is that of the folder or zip it was packed from, unless images were resized.

    root        the folder of shards
    image_size  side to which every image is resized and centre-cropped
    channels    3 colour, 1 grey
    """

    def __init__(self, root: str | Path, image_size: int, channels: int = 3):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root.absolute()} is no folder. Set data.dataset.root to the folder of your shards.")
        if (self.root / INDEX).is_file():
            index = read_index(self.root)
            if index.shape is not None:
                raise DataError(f"{self.root} holds arrays of the shape {index.shape}, no images. Use data=latents.")
            if index.image_size is not None and index.image_size < image_size:
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
