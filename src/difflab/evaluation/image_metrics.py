"""Metrics that see the images themselves, and no features of an extractor: of pairs, and those of torchmetrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.dataset import ImageSource
from difflab.distributed.group import rank, world_size
from difflab.evaluation.reference import ReferenceSource
from difflab.evaluation.results import Measurement
from difflab.features import to_uint8
from difflab.metrics import MetricInfo, PairMetric, Pairs, Protocol, check_pairs
from difflab.metrics.images import ForeignMetric
from difflab.metrics.protocol import metric_fields


class ImageMetrics:
    """Metrics that are updated with images, and read after all of them.

    Args:
        metrics: Name -> metric: `PairMetric`s, and metrics of torchmetrics that know nothing of difflab.
        source: Of the reference, which some of these look at.
        batch_size: Images that are read at a time.
    """

    def __init__(self, metrics: Mapping[str, Any], source: ReferenceSource | None, batch_size: int):
        self.pairs_of = [one for one in metrics.values() if isinstance(one, PairMetric)]
        self.foreign = [ForeignMetric(name, one) for name, one in metrics.items() if not isinstance(one, PairMetric)]
        self._source, self._batch_size = source, batch_size
        self._device = torch.device("cpu")
        self._pairs: Pairs | None = None
        self._num_images = 0

    def __bool__(self) -> bool:
        return bool(self.pairs_of or self.foreign)

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Name of each number -> what kind of number it is."""
        return {metric.name: metric.info() for metric in (*self.pairs_of, *self.foreign)}

    def protocols(self, fields: Mapping[str, Any], num_images: int) -> dict[str, Protocol]:
        """Name of each number -> what one has to know before comparing it with others.

        Args:
            fields: What of it the samples are, nested.
            num_images: How many they are.
        """
        found = {}
        for metric in (*self.pairs_of, *self.foreign):
            source = self._source if isinstance(metric, ForeignMetric) and metric.needs_reference else None
            reference = {"reference": source.fields} if source else {}
            own = {"samples": num_images, "metric": metric_fields(metric.name, metric)}
            found[metric.name] = Protocol.of({**reference, **fields, **own})
        return found

    def prepare(self, num_images: int, pairs: Pairs | None) -> None:
        """Makes ready for images that are to come.

        Args:
            num_images: N, over all processes.
            pairs: What each image is drawn for, in super-resolution.

        Raises:
            ValueError: A metric compares with originals, and there are none.
        """
        if of_pairs := [*self.pairs_of, *(one for one in self.foreign if one.needs_pairs)]:
            check_pairs(of_pairs, pairs)
        self._num_images, self._pairs = num_images, pairs

    def to(self, device: torch.device | str) -> None:
        """Moves the metrics and what networks they have."""
        self._device = torch.device(device)
        for metric in self.pairs_of:
            for network in metric.networks:
                network.to(device)
        for metric in (*self.pairs_of, *self.foreign):
            metric.to(device)

    def reset(self) -> None:
        """Forgets all images but the reference's."""
        for metric in (*self.pairs_of, *self.foreign):
            metric.reset()

    def update(self, images: UInt8[Tensor, "b c h w"], index: Int[Tensor, " b"]) -> None:
        """Adds images of this process; `index` says which of the N they are."""
        images, index = images.to(self._device), index.to(self._device)
        for metric in (*self.pairs_of, *self.foreign):
            metric.update(images, self._pairs, index)  # type: ignore[arg-type]  # there are pairs where one is asked for

    def compute(self) -> dict[str, float]:
        """Name -> value of all processes' images. All processes must call it."""
        found = {metric.name: metric.compute().item() for metric in self.pairs_of}
        for metric in self.foreign:
            found |= self._computed(metric)
        return found

    def measure(self, images: ImageSource, fields: Mapping[str, Any]) -> list[Measurement]:
        """The numbers of images that lie somewhere; those of pairs with standard errors. All processes must call it.

        Args:
            images: N of them.
            fields: What of the numbers' protocol they are, nested.
        """
        self.reset()
        for index, batch in _share(images, self._num_images, self._batch_size):
            self.update(batch, torch.tensor(index))
        found, protocols, n = list[Measurement](), self.protocols(fields, self._num_images), self._num_images
        for metric in self.pairs_of:
            value, error = metric.compute().item(), metric.standard_error()
            found.append(Measurement.of(metric.name, value, n, protocols[metric.name], metric.info(), error, n))
        for metric in self.foreign:
            values = self._computed(metric)
            for name, info in metric.infos(values).items():
                found.append(Measurement.of(name, values[name], n, protocols[metric.name], info))
        return found

    def _computed(self, metric: ForeignMetric) -> dict[str, float]:
        images = None if self._source is None else self._source.images
        if metric.needs_reference:
            if images is None:
                raise ValueError(f"{metric.name} needs the reference's images, and there are none")
            metric.see_reference(batch for _, batch in _share(images, len(images), self._batch_size))
        return metric.compute()


def _share(images: ImageSource, count: int, batch_size: int) -> Iterator[tuple[list[int], UInt8[Tensor, "b c h w"]]]:
    """This process's share of the first images: which they are, and the images."""
    mine = range(rank(), count, world_size())
    for start in range(0, len(mine), batch_size):
        index = list(mine[start : start + batch_size])
        batch = images.images(index)
        yield index, batch if batch.dtype == torch.uint8 else to_uint8(batch)  # a mixture's meet metrics as samples do
