"""A set of images as a file or a folder holds it: nothing is resized, cropped or converted, every image has the same shape."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor


class ImageSet(ABC):
    """N images [C, H, W] that were all looked at once: what is damaged, mixed or out of range was refused before.

    shape        (C, H, W)
    labels       [N] int64 classes 0, 1, ..., or None
    fingerprint  a hash of pixels, order and labels: the same for an npz, a folder, a zip and tar shards of the same images
    """

    def __init__(self, shape: tuple[int, int, int], count: int, labels: Int[Tensor, " n"] | None, content: str):
        """`content` is `content_of` the images."""
        self.shape = shape
        self.labels = labels
        self._count = count
        self.fingerprint = fingerprint_of(shape, labels, content)

    @abstractmethod
    def _pixels(self, indices: list[int]) -> NDArray[np.uint8]:
        """[n, H, W, C] of the images with these indices, which are there."""

    @abstractmethod
    def where(self, index: int) -> str:
        """What an error calls image `index`, so that a person finds it."""

    def __len__(self) -> int:
        return self._count

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        chosen: list[int] = torch.as_tensor(indices).tolist()
        for index in chosen:
            if not 0 <= index < self._count:
                raise IndexError(f"there is no image {index} among {self._count}")
        return torch.from_numpy(self._pixels(chosen)).permute(0, 3, 1, 2).contiguous()


def pixel_digest(pixels: NDArray[np.uint8]) -> bytes:
    """The hash of one image [H, W, C]."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def content_of(digests: Iterable[bytes]) -> str:
    """The hash of images from the `pixel_digest` of each, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for one in digests:
        digest.update(one)
    return digest.hexdigest()


def fingerprint_of(shape: tuple[int, int, int], labels: Int[Tensor, " n"] | None, content: str) -> str:
    """What an image set of this content is known by, whoever holds it. labels are int64."""
    classes = b"" if labels is None else labels.numpy().tobytes()
    text = repr((tuple(shape), labels is None, content)).encode()
    return hashlib.blake2b(text + classes, digest_size=16).hexdigest()
