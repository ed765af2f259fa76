"""A finite set of images of one size, read by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.errors import DataError


class ImageDataset(ABC):
    """N images [C, H, W] with H = W = `image_size`, and perhaps a class each.

    labels       [N] int64 in 0 .. num_classes - 1, or None
    class_names  one name per class; empty without labels
    are_pictures whether they can be looked at and compared as pictures: latents need their decoder for that

    Whatever brings the images to this size is deterministic and done here. What is random (flips) is an `Augmentation`.
    """

    def __init__(self, image_size: int, channels: int, labels: Int[Tensor, " n"] | None, class_names: Sequence[str]):
        self.image_size = image_size
        self.channels = channels
        self.labels = labels
        self.class_names = tuple(class_names)
        self.are_pictures = True
        if (labels is None) != (not self.class_names):
            raise DataError("A data set has labels and class names, or neither.")
        if labels is not None and not (int(labels.min()) >= 0 and int(labels.max()) < len(self.class_names)):
            raise DataError(f"Labels must lie in 0..{len(self.class_names) - 1}, found {labels.min()}..{labels.max()}.")

    @property
    def num_classes(self) -> int:
        """0: the images have no labels."""
        return len(self.class_names)

    @property
    def empty_classes(self) -> list[int]:
        """The classes of which there is no image."""
        if self.labels is None:
            return []
        return (torch.bincount(self.labels, minlength=self.num_classes) == 0).nonzero().flatten().tolist()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        """[n, C, H, W]: uint8 in 0..255; or float32 for data that are no pixels, in the model's own units."""

    @property
    def fingerprint(self) -> str:
        """A hash of all that training can see: pixels after preprocessing (or the files' content and how it is
        preprocessed), labels and the names of the classes."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return self.hash_content()

    @abstractmethod
    def hash_content(self) -> str:
        """Computes `fingerprint`."""
