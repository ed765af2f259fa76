"""How far an image's features are from those of its original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.metrics.extractor import FeatureExtractor
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs
from difflab.metrics.protocol import Value

INFO = MetricInfo(higher_is_better=False, bounds=(0.0, 2.0), label="feature distance")


class FeatureDistance(PairMetric):
    """feature_distance, feature_distance_digits ...: 1 - cos(f(image), f(original)), f being the features of an extractor; its mean over
    images. Where LPIPS's weights are not at hand it tells similar from dissimilar in its own units.

    extractor   any, named in the metric's name
    """

    needs_originals = True

    def __init__(self, extractor: FeatureExtractor):
        self.extractor = extractor
        self.name = extractor.identity.named("feature_distance")

    def info(self) -> MetricInfo:
        return INFO

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """The extractor is in the name and its fingerprint in the protocol; no other metric states such a field."""
        named = name == "feature_distance" or name.startswith("feature_distance_")
        return INFO if named and "metric.features_of" in fields else None

    def protocol(self) -> dict[str, str | int | float]:
        return {"features_of": self.extractor.fingerprint}

    def to(self, device: torch.device | str) -> Self:
        self.extractor.to(device)
        return self

    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        mine, original = (self.extractor(x).features.double() for x in (images, pairs.originals(index)))
        return 1 - torch.nn.functional.cosine_similarity(mine, original, dim=1)
