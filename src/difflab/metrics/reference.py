"""Statistics of the real images that samples are compared with, computed once per content and cached.

The key holds what the numbers depend on: the data set's fingerprint, how many of its images were used, the extractor's fingerprint and
the version of this protocol. Processes share the work on a miss; only process 0 reads and writes the cache, so nodes need no common disk.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from difflab.collective import from_first_process, rank, world_size
from difflab.metrics.cache import StatisticsCache
from difflab.metrics.extractor import FeatureExtractor
from difflab.metrics.moments import Gaussian, Moments
from difflab.metrics.quantize import to_uint8

PROTOCOL_VERSION = 1
"""Raised when the way from images to statistics changes, so that older caches are not found any more."""

_log = logging.getLogger(__name__)


class ImageSource(Protocol):
    """A set of real images: what `data` offers and what references are computed from."""

    @property
    def fingerprint(self) -> str:
        """A hash of the pixels as `images` returns them."""
        ...

    def __len__(self) -> int: ...

    def images(self, indices: Sequence[int]) -> Tensor:
        """uint8 [B, C, H, W] of the images with these indices, without random augmentation."""
        ...


class ReferenceStatistics:
    """The Gaussian of a source's features.

    source      the real images
    extractor   as used for the samples; it must be on its device before `gaussian` is called
    num_images  how many of them, spread evenly over the source; None for all
    """

    def __init__(
        self,
        source: ImageSource,
        extractor: FeatureExtractor,
        num_images: int | None = None,
        cache: StatisticsCache | None = None,
        batch_size: int = 256,
    ):
        available = len(source)
        self.num_images = available if num_images is None else num_images
        if not 2 <= self.num_images <= available:
            raise ValueError(
                f"a reference of {self.num_images} images from a data set of {available}: it needs 2 to {available}"
            )
        self.source, self.extractor, self.batch_size = source, extractor, batch_size
        self.cache = cache or StatisticsCache()

    @property
    def fields(self) -> dict[str, str | int]:
        """What defines the statistics."""
        return {
            "protocol_version": PROTOCOL_VERSION,
            "reference": self.source.fingerprint,
            "reference_images": self.num_images,
            "extractor": self.extractor.identity.name,
            "extractor_fingerprint": self.extractor.fingerprint,
        }

    def gaussian(self) -> Gaussian:
        """Mean and covariance, on the extractor's device: from the cache, else computed. All processes must call it."""
        cached = self.cache.load(self.fields) if rank() == 0 else None
        d, device = self.extractor.identity.dimension, self.extractor.device
        found, mean, covariance = from_first_process(
            [
                torch.tensor(float(cached is not None), dtype=torch.float64, device=device),
                cached.mean.to(device) if cached else torch.zeros(d, dtype=torch.float64, device=device),
                cached.covariance.to(device) if cached else torch.zeros(d, d, dtype=torch.float64, device=device),
            ]
        )
        if found:
            return Gaussian(mean, covariance, self.num_images)
        gaussian = self._moments().all_reduced().gaussian()
        if rank() == 0:
            self.cache.store(self.fields, gaussian)
        return gaussian

    def _moments(self) -> Moments:
        """This process's share of the sums."""
        if rank() == 0:
            _log.info("reference statistics of %d images by %s, once", self.num_images, self.extractor.identity.name)
        moments = Moments(self.extractor.identity.dimension, self.extractor.device)
        mine = [i * len(self.source) // self.num_images for i in range(rank(), self.num_images, world_size())]
        for start in range(0, len(mine), self.batch_size):
            images = self.source.images(mine[start : start + self.batch_size])
            # images that are no pixels (a mixture's) meet the extractor as samples do
            moments.update(self.extractor(images if images.dtype == torch.uint8 else to_uint8(images)).features)
        return moments
