"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs


class PeakSignalToNoise(PairMetric):
    """psnr = 10 log10(255^2 / mean squared error) of each image and its original, in decibel, over all channels (torchmetrics); its mean
    over images. An image that equals its original counts as one of which a single value is off by one: its own ratio is infinite.
    """

    name = "psnr"
    needs_originals = True

    def info(self) -> MetricInfo:
        return MetricInfo(higher_is_better=True, unit="dB", label="PSNR")

    def protocol(self) -> dict[str, str | int | float]:
        return {"levels": 255}

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        originals = pairs.originals(index).to(images.device)
        ratio = peak_signal_noise_ratio(
            images.double(), originals.double(), data_range=255.0, reduction="none", dim=(1, 2, 3)
        )
        assert isinstance(ratio, Tensor)
        return ratio.clamp(max=10 * math.log10(255**2 * images[0].numel()))
