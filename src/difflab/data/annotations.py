"""What is known of each image of a data set besides its class: captions, masks, maps, other images."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property

from jaxtyping import Int
from torch import Tensor

from difflab.types import ConditionPart


class Annotation(ABC):
    """Numbers of images -> a part of what a model is told of them. A data set has each under a name: `ImageDataset.annotations`."""

    @abstractmethod
    def __len__(self) -> int:
        """How many images it knows: as many as the data set has."""

    @abstractmethod
    def part(self, indices: Int[Tensor, " n"]) -> ConditionPart:
        """The part of the condition of the images with these numbers, as the model is told it; on the CPU."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of all that `part` can say: it enters that of the data set, and so a run's identity."""


class AnnotationInMemory(Annotation):
    """One that was read at once.

    Args:
        whole: The part of all images, in their order.
    """

    def __init__(self, whole: ConditionPart):
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def part(self, indices: Int[Tensor, " n"]) -> ConditionPart:
        return self._whole.map(lambda values: values[indices])

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(type(self._whole).__qualname__.encode(), digest_size=16)
        for name, values in self._whole.tensors.items():
            digest.update(repr((name, str(values.dtype), tuple(values.shape))).encode())
            digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()


class OfSome(Annotation):
    """That of some images of a set.

    Args:
        whole: That of all.
        index: Their numbers there.
    """

    def __init__(self, whole: Annotation, index: Int[Tensor, " m"]):
        self._whole, self._index = whole, index

    def __len__(self) -> int:
        return len(self._index)

    def part(self, indices: Int[Tensor, " n"]) -> ConditionPart:
        return self._whole.part(self._index[indices])

    @property
    def fingerprint(self) -> str:
        digest = hashlib.blake2b(self._whole.fingerprint.encode(), digest_size=16)
        digest.update(self._index.numpy().data)
        return digest.hexdigest()
