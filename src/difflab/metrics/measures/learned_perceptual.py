"""Learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.pair_metric import PairMetric, Pairs
from difflab.metrics.protocol import Value


class LearnedPerceptual(PairMetric):
    """lpips_alex, lpips_vgg: LPIPS of each image and its original (torchmetrics, whose heads are those of lpips 0.1); its mean over images.

    The backbone is torchvision's, which gets its weights once. Grey images are repeated to RGB.

    net   of the backbone: alex, vgg, squeeze
    """

    needs_originals = True

    def __init__(self, net: str = "alex"):
        self.net: Any = net
        self.name = f"lpips_{net}"
        self._network: Any = None

    def info(self) -> MetricInfo:
        return MetricInfo(higher_is_better=False, label=f"LPIPS ({self.net})")

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        metric = cls(str(fields.get("metric.net")))
        return metric.info() if metric.name == name else None

    def protocol(self) -> dict[str, str | int | float]:
        return {"net": self.net, "version": "0.1"}

    def to(self, device: torch.device | str) -> Self:
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        if self._network is None:
            try:
                self._network = _NoTrainLpips(net=self.net)
            except (OSError, RuntimeError) as error:
                raise ValueError(
                    f"{self.name}: the weights of its backbone are not at hand and cannot be fetched ({' '.join(str(error).split())}). Put "
                    f"torchvision's file into {torch.hub.get_dir()}/checkpoints, or choose metric=[feature_distance], which takes the "
                    "features of an extractor that is here"
                ) from error
        self._network.to(device)
        return self

    @torch.no_grad()
    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        mine, original = (
            (x.to(images.device).float() / 127.5 - 1).expand(-1, 3, -1, -1) for x in (images, pairs.originals(index))
        )
        with torch.autocast(images.device.type, enabled=False):
            return self._network(mine, original).flatten().double()
