"""Data sets that fit in memory."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError


class InMemoryImages(ImageDataset):
    """Base of the sets that are held in memory: a subclass reads its files and passes the arrays on."""

    @abstractmethod
    def __init__(
        self,
        pixels: UInt8[Tensor, "n c h w"],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        where: str,
    ):
        """`where` is the place that an error names."""
        if pixels.ndim != 4 or pixels.dtype != torch.uint8 or not len(pixels) or pixels.shape[2] != pixels.shape[3]:
            raise DataError(
                f"{where}: expected square uint8 images [N, C, H, H], found {pixels.dtype} {[*pixels.shape]}."
            )
        if labels is not None and len(labels) != len(pixels):
            raise DataError(f"{where}: {len(pixels)} images but {len(labels)} labels; every image needs one.")
        super().__init__(pixels.shape[2], pixels.shape[1], None if labels is None else labels.long(), class_names)
        self._pixels = pixels.contiguous()

    def __len__(self) -> int:
        return len(self._pixels)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        # row by row; indexing with [] goes through all elements of a byte tensor, eight times slower
        return self._pixels.index_select(0, torch.as_tensor(indices, dtype=torch.int64))

    def hash_content(self) -> str:
        digest = hashlib.blake2b(repr((self._pixels.shape, self.class_names)).encode(), digest_size=16)
        digest.update(self._pixels.numpy().data)
        if self.labels is not None:
            digest.update(self.labels.numpy().data)
        return digest.hexdigest()


class ArrayImages(InMemoryImages):
    """A data set made of a tensor of pixels: for a notebook, and for data that no reader here knows.

    pixels       [N, C, H, H] uint8
    labels       [N], or None
    class_names  defaults to "0", "1", ...
    """

    def __init__(self, pixels: Tensor, labels: Tensor | None = None, class_names: Sequence[str] | None = None):
        if class_names is None:
            class_names = [] if labels is None else [str(label) for label in range(int(labels.max()) + 1)]
        super().__init__(pixels, labels, class_names, "ArrayImages")
