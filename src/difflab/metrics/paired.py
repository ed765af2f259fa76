"""Metrics of an image and the one that it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from difflab.features.extractor import FeatureExtractor
from difflab.metrics.images import PairMetric, Pairs
from difflab.metrics.protocol import MetricInfo, Value


class PeakSignalToNoise(PairMetric):
    """The psnr = 10 log10(255^2 / mean squared error) of each image and its original, in decibel, over all channels (torchmetrics).

    Its mean over images is reported. An image that equals its original counts as one of which a single value is off by one: its own ratio
    is infinite.
    """

    name = "psnr"
    needs_originals = True
    higher_is_better = True

    def info(self) -> MetricInfo:
        return self.kind("PSNR", unit="dB")

    def protocol(self) -> dict[str, str | int | float]:
        return {"levels": 255}

    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        originals = pairs.originals(index).to(images.device)
        ratio = peak_signal_noise_ratio(
            images.double(), originals.double(), data_range=255.0, reduction="none", dim=(1, 2, 3)
        )
        assert isinstance(ratio, Tensor)
        return ratio.clamp(max=10 * math.log10(255**2 * images[0].numel()))


class StructuralSimilarity(PairMetric):
    """ssim of each image with its original, under a Gaussian window, mean over channels (torchmetrics); its mean over images.

    Args:
        deviation: Of the window, in pixels; 1.5, whose window has 11 x 11 pixels, unless the images are smaller.
    """

    name = "ssim"
    needs_originals = True
    higher_is_better = True
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    def __init__(self, deviation: float = 1.5):
        if deviation <= 0:
            raise ValueError(f"metric.ssim.deviation={deviation} is the width of a window: above 0")
        super().__init__()
        self.deviation = deviation

    def info(self) -> MetricInfo:
        return self.kind("SSIM")

    def protocol(self) -> dict[str, str | int | float]:
        return {"levels": 255, "deviation": self.deviation}

    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
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


class LearnedPerceptual(PairMetric):
    """lpips_alex, lpips_vgg: LPIPS of each image and its original (torchmetrics, whose heads are those of lpips 0.1); its mean over images.

    The backbone is torchvision's, which gets its weights once. Grey images are repeated to RGB.

    Args:
        net: Of the backbone: alex, vgg, squeeze.
    """

    needs_originals = True
    higher_is_better = False

    def __init__(self, net: str = "alex"):
        super().__init__()
        self.net: Any = net
        self.name = f"lpips_{net}"
        self._networks: tuple[
            Any, ...
        ] = ()  # no submodule: it would enter the checkpoints of a module that holds the metric

    def info(self) -> MetricInfo:
        return self.kind(f"LPIPS ({self.net})")

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        metric = cls(str(fields.get("metric.net")))
        return metric.info() if metric.name == name else None

    def protocol(self) -> dict[str, str | int | float]:
        return {"net": self.net, "version": "0.1"}

    @property
    def networks(self) -> Sequence[Any]:
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        if not self._networks:
            try:
                self._networks = (_NoTrainLpips(net=self.net),)
            except (OSError, RuntimeError) as error:
                raise ValueError(
                    f"{self.name}: the weights of its backbone are not at hand and cannot be fetched ({' '.join(str(error).split())}). Put "
                    f"torchvision's file into {torch.hub.get_dir()}/checkpoints, or choose metric=[feature_distance], which takes the "
                    "features of an extractor that is here"
                ) from error
        return self._networks

    @torch.no_grad()
    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        (network,) = self.networks
        network.to(images.device)
        mine, original = (
            (x.to(images.device).float() / 127.5 - 1).expand(-1, 3, -1, -1) for x in (images, pairs.originals(index))
        )
        with torch.autocast(images.device.type, enabled=False):
            return network(mine, original).flatten().double()


class FeatureDistance(PairMetric):
    """feature_distance, feature_distance_digits ...: 1 - cos(f(image), f(original)), f being the features of an extractor.

    Its mean over images is reported. Where LPIPS's weights are not at hand it tells similar from dissimilar in its own units.

    Args:
        extractor: Any, named in the metric's name.
    """

    needs_originals = True
    higher_is_better = False
    plot_upper_bound = 2.0

    def __init__(self, extractor: FeatureExtractor):
        super().__init__()
        self.extractor = extractor
        self.name = extractor.identity.named("feature_distance")

    def info(self) -> MetricInfo:
        return self.kind("feature distance")

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """The extractor is in the name and its fingerprint in the protocol; no other metric states such a field."""
        named = name == "feature_distance" or name.startswith("feature_distance_")
        return cls.kind("feature distance") if named and "metric.features_of" in fields else None

    def protocol(self) -> dict[str, str | int | float]:
        return {"features_of": self.extractor.fingerprint}

    @property
    def networks(self) -> Sequence[Any]:
        return (self.extractor,)

    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        mine, original = (self.extractor(x).features.double() for x in (images, pairs.originals(index)))
        return 1 - torch.nn.functional.cosine_similarity(mine, original, dim=1)


class Consistency(PairMetric):
    """The consistency: how far the result, made small again, is from the small image that the model was given.

    It is the mean squared difference between that small image (without the noise of conditioning augmentation) and the result made small in
    the same way, images in [-1, 1] (SR3, arXiv 2104.07636, table 1, but for the units). Lower is better; needs no original.
    """

    name = "consistency"
    needs_originals = False
    higher_is_better = False

    def info(self) -> MetricInfo:
        return self.kind("consistency")

    def protocol(self) -> dict[str, str | int | float]:
        return {"units": "[-1, 1]"}

    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        given = pairs.small(index).to(images.device)
        return (pairs.made_small(images).double() - given.double()).square().mean(dim=(1, 2, 3))
