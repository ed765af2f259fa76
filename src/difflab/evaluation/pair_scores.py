"""Scores of pairs, and of a set of upsampled images beside their originals, while a model trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.dataset import ImageSource
from difflab.distributed.collective import rank, sum_over_processes, world_size
from difflab.evaluation.batch_metrics import ImageMetrics
from difflab.evaluation.results import Measurement
from difflab.metrics.metric import PairMetric, Pairs, check_pairs
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Protocol, metric_fields


class Mean(NamedTuple):
    """value       over the images
    std_error   of it, images being independent
    """

    value: float
    std_error: float


class PairScores:
    """metrics      what is measured
    pairs        what the images were drawn for
    num_images   N
    """

    def __init__(self, metrics: Sequence[PairMetric], pairs: Pairs | None, num_images: int):
        check_pairs(metrics, pairs)
        self.metrics = list(metrics)
        self.num_images = num_images
        self._pairs = pairs
        self._device = torch.device("cpu")
        self.reset()

    def to(self, device: torch.device | str) -> PairScores:
        """Moves what networks the metrics have, and starts from zero."""
        self._device = torch.device(device)
        for metric in self.metrics:
            metric.to(device)
        self.reset()
        return self

    def reset(self) -> None:
        shape = len(self.metrics) + 1, self.num_images
        self._values = torch.zeros(shape, dtype=torch.float64, device=self._device)  # the last row counts

    def update(self, images: UInt8[Tensor, "b c h w"], index: Int[Tensor, " b"]) -> None:
        """index   which of the N images these are; those from N on are padding"""
        real = index < self.num_images
        if self._pairs is None or not real.any():
            return
        images, index = images[real.to(images.device)].to(self._device), index[real].to(self._device)
        for row, metric in zip(self._values, self.metrics, strict=False):
            row.index_add_(0, index, metric(images, self._pairs, index).to(row))
        self._values[-1].index_add_(0, index, torch.ones_like(index, dtype=torch.float64))

    def compute(self) -> dict[str, Mean]:
        """All processes must call it."""
        (values,) = sum_over_processes([self._values])
        if (values[-1] != 1).any():
            i = int((values[-1] != 1).nonzero()[0])
            raise ValueError(
                f"each of {self.num_images} images is to be compared once; {i} was {int(values[-1, i])} times"
            )
        return {
            metric.name: Mean(row.mean().item(), (row.std() / math.sqrt(self.num_images)).item())
            for metric, row in zip(self.metrics, values, strict=False)
        }

    def info(self) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is."""
        return {metric.name: metric.info() for metric in self.metrics}

    def protocols(self, setting: Mapping[str, Any]) -> dict[str, Protocol]:
        """Name -> what one has to know before comparing the number with others.

        setting   nested fields that say how the images were drawn
        """
        return {
            metric.name: Protocol.of(
                {**setting, "samples": self.num_images, "metric": metric_fields(metric.name, metric)}
            )
            for metric in self.metrics
        }


def measure_pairs(
    scores: PairScores, images: ImageSource, batch_size: int, setting: Mapping[str, Any]
) -> list[Measurement]:
    """The numbers of images that lie somewhere, N of them, each with its standard error. All processes must call it."""
    scores.reset()
    mine = range(rank(), scores.num_images, world_size())
    for start in range(0, len(mine), batch_size):
        index = list(mine[start : start + batch_size])
        scores.update(images.images(index), torch.tensor(index))
    found, protocols, infos, n = scores.compute(), scores.protocols(setting), scores.info(), scores.num_images
    return [
        Measurement.of(name, mean.value, n, protocols[name], infos[name], mean.std_error, n)
        for name, mean in found.items()
    ]


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
