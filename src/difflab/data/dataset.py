"""What a data set of images is, and one that lies in memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from difflab.data.annotations import Annotation
from difflab.data.errors import DataError
from difflab.types import Condition, ImageSize, Label, sides, size_of

if TYPE_CHECKING:
    from difflab.data.mixture import GaussianMixture


class ImageDataset(ABC):
    """N images [C, H, W], and perhaps a class each, captions, masks or whatever else a model is told of them.

    They may be anything else that is [C, *size], as videos or points.

    Whatever brings the images to this size is deterministic and done here. What is random (flips) is an `Augmentation`.

    Args:
        image_size: Side of square images, or the length of each axis (`difflab.types.ImageSize`).
        channels: Channels of the images.
        labels: [N] int64 in 0 .. num_classes - 1, or None.
        class_names: One name per class; empty without labels.

    Attributes:
        annotations: Name -> what is known of each image besides its class. A subclass that has any sets them in its constructor.
        distribution: What the images are drawn from, where it is known in closed form; None where it is not.
        is_encoded: Whether it holds latents, which need their decoder to be looked at and compared.
        own_extractor: Dotted name of the extractor that was made for these images, and needs no argument; empty where general ones do.
    """

    own_extractor: ClassVar[str] = ""

    def __init__(
        self, image_size: ImageSize, channels: int, labels: Int[Tensor, " n"] | None, class_names: Sequence[str]
    ):
        self.image_size = size_of(sides(image_size))
        self.channels = channels
        self.labels = labels
        self.class_names = tuple(class_names)
        self.annotations: Mapping[str, Annotation] = {}
        self.is_encoded = False
        self.distribution: GaussianMixture | None = None
        if (labels is None) != (not self.class_names):
            raise DataError("A data set has labels and class names, or neither.")
        if labels is not None and not (int(labels.min()) >= 0 and int(labels.max()) < len(self.class_names)):
            raise DataError(f"Labels must lie in 0..{len(self.class_names) - 1}, found {labels.min()}..{labels.max()}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of each."""
        return self.channels, *sides(self.image_size)

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
        """[n, C, *size]: uint8 in 0..255; or float32 for data that are no pixels, in the model's own units."""

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        """What is known of each image: its label, where it has one, and the annotations."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        cond = of_class(self.labels, index)
        return (
            cond.having(**{name: one.part(index) for name, one in self.annotations.items()})
            if self.annotations
            else cond
        )

    @property
    def fingerprint(self) -> str:
        """A hash of all that training can see.

        That is pixels after preprocessing (or the files' content and how it is preprocessed), labels, the names of the classes, and
        annotations.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        content = self.hash_content()
        if not self.annotations:
            return content
        named = [(name, one.fingerprint) for name, one in self.annotations.items()]
        return hashlib.blake2b(repr((content, named)).encode(), digest_size=16).hexdigest()

    @abstractmethod
    def hash_content(self) -> str:
        """Computes `fingerprint`, but for the annotations."""


class ImageSource(Protocol):
    """A set of real images: what `data` offers and what references are computed from."""

    @property
    def fingerprint(self) -> str:
        """A hash of the pixels as `images` returns them."""
        ...

    def __len__(self) -> int: ...

    def images(self, indices: Sequence[int]) -> Tensor:
        """uint8 [B, C, H, W] of the images with these indices, without random augmentation."""
        ...


def of_class(labels: Tensor | None, index: Int[Tensor, " n"]) -> Condition:
    """The condition of the images with these numbers of which the class alone is known, or nothing."""
    return Condition() if labels is None else Condition(label=Label(labels[index]))


@runtime_checkable
class Labelled(Protocol):
    """What has a class for each of N images."""

    @property
    def labels(self) -> Tensor | None:
        """[N] int64; None where classes are not known."""
        ...


class LabelledSource(ImageSource, Labelled, Protocol):
    """Images of which each has a class, or whatever else a model is told of it."""

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        """What is known of the images with these numbers."""
        ...


class ImageSet(ABC):
    """N images [C, H, W] that were all looked at once: what is damaged, mixed or out of range was refused before.

    Attributes:
        shape: (C, H, W).
        labels: [N] int64 classes 0, 1, ..., or None.
        fingerprint: a hash of pixels, order and labels: the same for an npz, a folder, a zip and tar shards of the same images.
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

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        return of_class(self.labels, torch.as_tensor(indices))


def pixel_digest(pixels: NDArray[np.uint8]) -> bytes:
    """The hash of one image [H, W, C]."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def content_of(digests: Iterable[bytes]) -> str:
    """The hash of images from the `pixel_digest` of each, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for one in digests:
        digest.update(one)
    return digest.hexdigest()


def fingerprint_of(shape: tuple[int, ...], labels: Int[Tensor, " n"] | None, content: str) -> str:
    """What an image set of this content is known by, whoever holds it. labels are int64."""
    classes = b"" if labels is None else labels.numpy().tobytes()
    text = repr((tuple(shape), labels is None, content)).encode()
    return hashlib.blake2b(text + classes, digest_size=16).hexdigest()


class InMemoryImages(ImageDataset):
    """Base of the sets that are held in memory: a subclass reads its files and passes the arrays on."""

    @abstractmethod
    def __init__(
        self,
        pixels: UInt8[Tensor, "n c *size"],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        where: str,
    ):
        """`where` is the place that an error names."""
        if pixels.ndim < 4 or pixels.dtype != torch.uint8 or not len(pixels):
            raise DataError(f"{where}: expected uint8 images [N, C, H, W], found {pixels.dtype} {[*pixels.shape]}.")
        if labels is not None and len(labels) != len(pixels):
            raise DataError(f"{where}: {len(pixels)} images but {len(labels)} labels; every image needs one.")
        size = size_of(pixels.shape[2:])
        super().__init__(size, pixels.shape[1], None if labels is None else labels.long(), class_names)
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

    Args:
        pixels: [N, C, H, W] uint8; of videos [N, C, T, H, W].
        labels: [N], or None.
        class_names: Defaults to "0", "1", ...
    """

    def __init__(self, pixels: Tensor, labels: Tensor | None = None, class_names: Sequence[str] | None = None):
        if class_names is None:
            class_names = [] if labels is None else [str(label) for label in range(int(labels.max()) + 1)]
        super().__init__(pixels, labels, class_names, "ArrayImages")
