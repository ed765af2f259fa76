"""Structural similarity (Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity")."""

from __future__ import annotations

from typing import Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs


class StructuralSimilarity(PairMetric):
    """ssim of each image with its original, under a Gaussian window, mean over channels (torchmetrics); its mean over images.

    deviation   of the window, in pixels; 1.5, whose window has 11 x 11 pixels, unless the images are smaller
    """

    name = "ssim"
    needs_originals = True

    def __init__(self, deviation: float = 1.5):
        if deviation <= 0:
            raise ValueError(f"metric.ssim.deviation={deviation} is the width of a window: above 0")
        self.deviation = deviation

    def info(self) -> MetricInfo:
        return MetricInfo(higher_is_better=True, bounds=(-1.0, 1.0), label="SSIM")

    def protocol(self) -> dict[str, str | int | float]:
        return {"levels": 255, "deviation": self.deviation}

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        window = 2 * int(3.5 * self.deviation + 0.5) + 1
        if min(images.shape[2:]) < window:
            raise ValueError(
                f"ssim: a window of deviation {self.deviation} has {window} x {window} pixels, and the images {images.shape[2]} x "
                f"{images.shape[3]}: choose a smaller metric.ssim.deviation, such as 0.8 (7 x 7), and compare at equal ones alone"
            )
        values = structural_similarity_index_measure(
            images.double(),
            pairs.originals(index).to(images.device).double(),
            sigma=self.deviation,
            data_range=255.0,
            reduction="none",
        )
        assert isinstance(values, Tensor)
        return values
