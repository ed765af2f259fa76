"""Some images of a set: every n-th or all others, spread evenly, or in another order."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.annotations import OfSome
from difflab.data.dataset import ImageDataset, LabelledSource
from difflab.data.errors import DataError
from difflab.noise import ImageNoise
from difflab.types import Condition


class View:
    """Some images of a source, in an order of one's own.

    Args:
        source: Where they are.
        index: Their numbers there.
        told: Which they are: in its fingerprint, beside the source's.
    """

    def __init__(self, source: LabelledSource, index: Int[Tensor, " m"], told: str):
        self._source, self._index, self._told = source, index, told

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self._source.fingerprint} {self._told}".encode()).hexdigest()[:32]

    @property
    def labels(self) -> Tensor | None:
        labels = self._source.labels
        return None if labels is None else labels[self._index]

    def __len__(self) -> int:
        return len(self._index)

    def images(self, indices: Sequence[int]) -> Tensor:
        return self._source.images(self._index[torch.as_tensor(indices)].tolist())

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        return self._source.condition(self._index[torch.as_tensor(indices)])


class Part(ImageDataset):
    """Base of the parts of a data set: a subclass says which images."""

    @abstractmethod
    def __init__(self, dataset: ImageDataset, index: Int[Tensor, " m"]):
        """`index` holds the numbers of its images in the whole."""
        self._view = View(dataset, index, "")
        super().__init__(dataset.image_size, dataset.channels, self._view.labels, dataset.class_names)
        self.annotations = {name: OfSome(one, index) for name, one in dataset.annotations.items()}
        self.is_encoded, self.distribution = dataset.is_encoded, dataset.distribution
        self._dataset, self._index = dataset, index

    def __len__(self) -> int:
        return len(self._view)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        return self._view.images(indices)  # type: ignore[arg-type]

    def hash_content(self) -> str:
        digest = hashlib.blake2b(self._dataset.fingerprint.encode(), digest_size=16)
        digest.update(self._index.numpy().tobytes())
        return digest.hexdigest()


class EveryNth(Part):
    """Images 0, n, 2n, ... of a data set: to be kept from training.

    Args:
        dataset: The whole.
        n: One in so many.
    """

    def __init__(self, dataset: ImageDataset, n: int):
        super().__init__(dataset, torch.arange(0, _checked(dataset, n), n))


class AllButEveryNth(Part):
    """The images that `EveryNth` leaves: to be trained on.

    Args:
        dataset: The whole.
        n: One in so many is left out.
    """

    def __init__(self, dataset: ImageDataset, n: int):
        index = torch.arange(_checked(dataset, n))
        super().__init__(dataset, index[index % n != 0])


class Few(Part):
    """The images 0, M/N, 2M/N ... of a data set of M, so that each part of it and each class of a sorted one is there.

    Args:
        dataset: The whole.
        count: N.
    """

    def __init__(self, dataset: ImageDataset, count: int):
        super().__init__(dataset, torch.arange(count) * len(dataset) // count)


def at_most(dataset: ImageDataset, max_images: int | None) -> ImageDataset:
    """`max_images` of the images, or the data set itself where it has no more, and for None."""
    return dataset if max_images is None or len(dataset) <= max_images else Few(dataset, max_images)


def _checked(dataset: ImageDataset, n: int) -> int:
    """The number of images in the whole."""
    if not 2 <= n <= len(dataset):
        raise DataError(f"n={n}: of {len(dataset)} images one in 2 .. {len(dataset)} can be held out")
    return len(dataset)


def spread(source: LabelledSource, count: int | None) -> LabelledSource:
    """`count` of the images, or all of them for None."""
    return source if count is None else Spread(source, count)


class Spread(View):
    """The images 0, M/N, 2M/N ... of a set of M.

    Args:
        source: The set.
        count: N.
    """

    def __init__(self, source: LabelledSource, count: int):
        if not 2 <= count <= len(source):
            raise ValueError(f"{count} of {len(source)} images: choose 2 to {len(source)}")
        super().__init__(source, torch.arange(count) * len(source) // count, str(count))


class Shuffled(View):
    """The images of a set in a fixed random order: data sets are often sorted by class. Any N of them begin with those of a smaller N.

    Args:
        source: The set.
    """

    def __init__(self, source: LabelledSource):
        draws = ImageNoise(0, torch.arange(len(source))).uniform("order of given images")
        super().__init__(source, torch.argsort(draws, stable=True), "shuffled")
