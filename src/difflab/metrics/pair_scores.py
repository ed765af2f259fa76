"""Pair metrics of N images, accumulated batch by batch on any number of processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.collective import rank, sum_over_processes, world_size
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs, check_pairs
from difflab.metrics.protocol import Protocol, metric_fields
from difflab.metrics.reference import ImageSource
from difflab.metrics.results import Measurement


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
