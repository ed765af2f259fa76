"""Draws from a Gaussian mixture, as a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.data.mixture import GaussianMixture
from difflab.noise import ImageNoise


class MixtureImages(ImageDataset):
    """Image i is a function of (seed, i): nothing is stored, so `length` may be as large as one likes.

    The images are float32 draws, not pixels. The label of an image is the component it came from.
    """

    def __init__(self, mixture: GaussianMixture, length: int, seed: int = 0):
        self.mixture = mixture
        self.seed = seed
        channels, height, width = mixture.shape
        if height != width:
            raise DataError(f"A mixture used as a data set needs square images, found {height}x{width}.")
        if length < 1:
            raise DataError(f"data.dataset.length={length}: a data set needs at least one image.")
        labels = mixture.sample_labels(ImageNoise(seed, torch.arange(length)))
        super().__init__(height, channels, labels, [f"component {k}" for k in range(len(mixture.weights))])
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        index = torch.as_tensor(indices)
        return self.mixture.sample(ImageNoise(self.seed, index), self._labels[index]).float()

    def hash_content(self) -> str:
        mixture = self.mixture
        content = (mixture.means.tolist(), mixture.weights.tolist(), mixture.std, len(self), self.seed)
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()
