"""Latents as the images that they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.dataset import ImageDataset, LabelledSource
from difflab.noise import ImageNoise
from difflab.spaces import Space
from difflab.types import Condition


def seen_in(space: Space, dataset: ImageDataset) -> LabelledSource:
    """What is looked at of a data set whose model lives in a space: itself, unless it holds latents that the space can decode."""
    return DecodedImages(dataset, space) if dataset.is_encoded and space.models else dataset


class DecodedImages:
    """The images of a data set of latents, decoded when they are asked for: float32, in [-1, 1] and a little beyond.

    Args:
        dataset: The latents.
        space: With their decoder, on whose device they are decoded.
    """

    def __init__(self, dataset: ImageDataset, space: Space):
        self._dataset, self._space = dataset, space
        self.labels = dataset.labels

    @property
    def fingerprint(self) -> str:
        content = f"{self._dataset.fingerprint} decoded by {self._space.fingerprint}"
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def __len__(self) -> int:
        return len(self._dataset)

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        return self._dataset.condition(indices)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        """[n, C, H, W] float32."""
        weight = next(model for model in self._space.models.values()).parameters()
        device = next((one.device for one in weight), torch.device("cpu"))
        latents, numbers = self._dataset.images(indices).to(device), torch.as_tensor(indices, device=device)
        return self._space.decode(self._space.encode(latents, ImageNoise(0, numbers))).float().cpu()
