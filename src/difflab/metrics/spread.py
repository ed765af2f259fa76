"""Some images of a large set, spread evenly over it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from difflab.metrics.embed import LabelledSource


def spread(source: LabelledSource, count: int | None) -> LabelledSource:
    """`count` of the images, or all of them for None."""
    return source if count is None else Spread(source, count)


class Spread:
    """The images 0, M/N, 2M/N ... of a set of M.

    source  the set
    count   N
    """

    def __init__(self, source: LabelledSource, count: int):
        if not 2 <= count <= len(source):
            raise ValueError(f"{count} of {len(source)} images: choose 2 to {len(source)}")
        self._source = source
        self._chosen = torch.arange(count) * len(source) // count

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self._source.fingerprint} {len(self)}".encode()).hexdigest()[:32]

    @property
    def labels(self) -> Tensor | None:
        labels = self._source.labels
        return None if labels is None else labels[self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def images(self, indices: Sequence[int]) -> Tensor:
        return self._source.images(self._chosen[torch.as_tensor(indices)].tolist())
