"""Scores of a set of enlarged images while a model trains: those of any set of images, and those of each image with its original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.metrics.evaluator import ImageMetrics
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_scores import PairScores
from difflab.metrics.protocol import Protocol


class EnlargementMetrics:
    """images   of the set
    pairs    of each image
    """

    def __init__(self, images: ImageMetrics, pairs: PairScores):
        self._images, self._pairs = images, pairs
        self.num_images = images.num_images

    def to(self, device: torch.device | str) -> EnlargementMetrics:
        self._images.to(device)
        self._pairs.to(device)
        return self

    def reset(self) -> None:
        self._images.reset()
        self._pairs.reset()

    def update(self, images: UInt8[Tensor, "b c h w"], index: Int[Tensor, " b"]) -> None:
        self._images.update(images, index)
        self._pairs.update(images, index)

    def compute(self) -> dict[str, float]:
        """All processes must call it."""
        return self._images.compute() | {name: mean.value for name, mean in self._pairs.compute().items()}

    def info(self) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is."""
        return self._images.info() | self._pairs.info()

    def protocols(self, drawing: Mapping[str, Any]) -> dict[str, Protocol]:
        """drawing   nested fields that say how the images were drawn"""
        return self._images.protocols(drawing) | self._pairs.protocols(drawing)

    def label(self, name: str) -> str:
        return self._images.label(name)
