"""A set of images in an order in which its first ones are like all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from difflab.metrics.embed import LabelledSource
from difflab.noise import ImageNoise


class Shuffled:
    """The images of a set in a fixed random order: data sets are often sorted by class. Any N of them begin with those of a smaller N.

    source   the set
    """

    def __init__(self, source: LabelledSource):
        self._source = source
        draws = ImageNoise(0, torch.arange(len(source))).uniform("order of given images")
        self._order = torch.argsort(draws, stable=True)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self._source.fingerprint} shuffled".encode()).hexdigest()[:32]

    @property
    def labels(self) -> Tensor | None:
        labels = self._source.labels
        return None if labels is None else labels[self._order]

    def __len__(self) -> int:
        return len(self._source)

    def images(self, indices: Sequence[int]) -> Tensor:
        return self._source.images(self._order[torch.as_tensor(indices)].tolist())
