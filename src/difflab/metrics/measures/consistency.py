"""Whether an enlarged image, made small again, is the one that was enlarged."""

from __future__ import annotations

from typing import Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs


class Consistency(PairMetric):
    """consistency: the mean squared difference between the small image that the model was given (without the noise of conditioning
    augmentation) and its result made small in the same way, images in [-1, 1] (SR3, arXiv 2104.07636, table 1, but for the units).
    Lower is better; needs no original.
    """

    name = "consistency"
    needs_originals = False

    def info(self) -> MetricInfo:
        return MetricInfo(higher_is_better=False, label="consistency")

    def protocol(self) -> dict[str, str | int | float]:
        return {"units": "[-1, 1]"}

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        given = pairs.small(index).to(images.device)
        return (pairs.made_small(images).double() - given.double()).square().mean(dim=(1, 2, 3))
