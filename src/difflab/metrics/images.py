"""Metrics that see images, and no features of an extractor: of an image and what it was drawn for, and any other of torchmetrics.

A metric of torchmetrics that knows nothing of difflab is shown the same images, and read for what it says of itself. What it is shown
follows from the arguments of its `update`:

    (imgs, real)       the samples with real=False, the reference's images with real=True: FrechetInceptionDistance, KernelInceptionDistance
    (preds, target)    each image and its original, in super-resolution: LearnedPerceptualImagePatchSimilarity, VisualInformationFidelity
    (img)              the samples: InceptionScore, TotalVariation

A metric with the option `normalize` is shown bytes, or numbers in [0, 1] where that is set (pairs: [-1, 1] and [0, 1]); any other one is
shown 0 .. 255 in float32. `higher_is_better` of its class says which way is better. Its `plot_lower_bound` and `plot_upper_bound` are taken
for what they are there, ranges of a plot: KernelInceptionDistance has 0 and 1, and is below 0 where chance will have it so.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torchmetrics
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.features.extractor import as_rgb
from difflab.metrics.metric import Declaring, each_once, listed
from difflab.metrics.protocol import MetricInfo, Value


class Pairs(Protocol):
    """What images were drawn for, by their numbers 0 .. N - 1.

    Attributes:
        has_originals: Whether the images themselves are known, not their small forms alone.
    """

    @property
    def has_originals(self) -> bool: ...

    @property
    def fields(self) -> dict[str, Any]:
        """What a protocol says of them, nested."""
        ...

    def originals(self, index: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w"]: ...

    def small(self, index: Int[Tensor, " b"]) -> Tensor:
        """The small images that the model was given, in [-1, 1] and without noise."""
        ...

    def made_small(self, images: UInt8[Tensor, "b c h w"]) -> Tensor:
        """Images in the form of `small`."""
        ...


class PairMetric(Declaring):
    """The mean over images of a value that each image has beside what it was drawn for.

    torchmetrics' PSNR, SSIM and LPIPS keep a mean; this keeps the value of each image, by its number, so that the mean has a standard error
    and does not depend on batches and processes. The values themselves are torchmetrics' own.

    Attributes:
        name: psnr, ssim, ...
        needs_originals: Whether small forms do not do.
    """

    _called = "values"
    name: str
    needs_originals: bool
    index: list[Tensor]
    value: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("index", [], dist_reduce_fx="cat")
        self.add_state("value", [], dist_reduce_fx="cat")

    @abstractmethod
    def info(self) -> MetricInfo:
        """What kind of number it is: `self.kind(label)`."""

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """What kind of number this is, if it is this metric's, by the protocol under which an earlier version measured it.

        Only metrics that come with difflab are asked. All of them have defaults, or say themselves what their numbers are called.
        """
        metric = cls()
        return metric.info() if metric.name == name else None

    @abstractmethod
    def protocol(self) -> dict[str, str | int | float]:
        """The metric's own settings that define its number."""

    @property
    def networks(self) -> Sequence[Any]:
        """What it runs images through; each can be moved by `to(device)`. They are no submodules, and enter no checkpoint.

        Raises:
            ValueError: Their weights are not at hand.
        """
        return ()

    @abstractmethod
    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The value of each image.

        Args:
            images: Drawn ones.
            pairs: What they were drawn for.
            index: Which of the N images they are.
        """

    def update(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> None:
        """Adds images, see `values`."""
        self.value.append(self.values(images, pairs, index).to(self.device, torch.float64))
        self.index.append(index.to(self.device))

    def compute(self) -> Float64[Tensor, ""]:
        """The mean over the images of all processes. All of them must call it."""
        return self._in_order().mean()

    def standard_error(self) -> float:
        """Of the mean, images being independent. All processes must call it."""
        with self.sync_context():
            values = self._in_order()
        return (values.std() / math.sqrt(len(values))).item()

    def _in_order(self) -> Float64[Tensor, " n"]:
        """By the images' numbers."""
        index, value = torch.cat(listed(self.index)), torch.cat(listed(self.value))
        return value[each_once(index.cpu(), len(index)).to(value.device)]


class ComparesPairs(Protocol):
    """A metric of an image and what it was drawn for, by its name and by what it needs."""

    name: str
    needs_originals: bool


def check_pairs(metrics: Sequence[ComparesPairs], pairs: Pairs | None) -> None:
    """Raises a ValueError for the first metric that cannot be computed. To be called before any work."""
    for metric in metrics:
        if pairs is None:
            raise ValueError(
                f"{metric.name} compares each image with what it was drawn for, which super-resolution alone has: leave it out of metric"
            )
        if metric.needs_originals and not pairs.has_originals:
            raise ValueError(
                f"{metric.name} needs the originals, and only their small forms were given: give low_res=FILE with the images at full "
                "size, which are then downsampled, or leave the metric out (consistency needs no originals)"
            )


_ARGUMENTS = {
    "imgs real": "samples and reference",
    "preds target": "pairs",
    "img1 img2": "pairs",
    "imgs": "samples",
    "img": "samples",
}
"""What `update` takes -> what it is shown."""


class ForeignMetric:
    """A metric of torchmetrics under a name of the configuration's.

    Args:
        name: Of its number. Of several the others are <name>_2, <name>_3, or <name>_<key> where they have keys.
        metric: Of torchmetrics.

    Raises:
        ValueError: It is no metric, or looks at something else than images.
    """

    needs_originals = True

    def __init__(self, name: str, metric: torchmetrics.Metric):
        if not isinstance(metric, torchmetrics.Metric):
            raise ValueError(
                f"{name}: {type(metric).__name__} is no metric: derive it from difflab.metrics.Metric or PairMetric, or from "
                "torchmetrics.Metric"
            )
        arguments = [
            parameter.name
            for parameter in inspect.signature(metric.update).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        if " ".join(arguments) not in _ARGUMENTS:
            raise ValueError(
                f"{name}: {type(metric).__name__}.update takes {', '.join(arguments) or 'nothing'}; images are evaluated by metrics whose "
                f"update takes {', or '.join(words.replace(' ', ' and ') for words in _ARGUMENTS)}"
            )
        self.name, self.metric = name, metric
        self._looks_at = _ARGUMENTS[" ".join(arguments)]
        self._has_seen_reference = False
        if getattr(metric, "reset_real_features", None) is not None:
            metric.reset_real_features = False  # the reference stays what it is

    @property
    def needs_reference(self) -> bool:
        return self._looks_at == "samples and reference"

    @property
    def needs_pairs(self) -> bool:
        return self._looks_at == "pairs"

    def info(self) -> MetricInfo:
        """What its class declares."""
        return MetricInfo(self.metric.higher_is_better, (-math.inf, math.inf), label=self.name)

    def protocol(self) -> dict[str, Any]:
        """Its class, and its public options that are plain values."""
        ignored = {*vars(torchmetrics.MeanMetric()), "reset_real_features"}
        options = {name: value for name, value in sorted(vars(self.metric).items()) if not name.startswith("_")}
        plain = {
            name: value
            for name, value in options.items()
            if name not in ignored and (value is None or isinstance(value, str | int | float))
        }
        return {"class": f"{type(self.metric).__module__}.{type(self.metric).__qualname__}", **plain}

    def to(self, device: torch.device | str) -> None:
        self.metric.to(device)

    def check(self, shape: tuple[int, ...]) -> None:
        """Shows it two black images, before any work.

        Raises:
            ValueError: It does not take such images.
        """
        black = torch.zeros(2, *shape, dtype=torch.uint8, device=self.metric.device)
        self._update(black, black, real=False)
        self.metric.reset()

    def reset(self) -> None:
        self.metric.reset()

    def update(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs | None, index: Int[Tensor, " b"]) -> None:
        """Adds samples."""
        self._update(images, pairs.originals(index) if self.needs_pairs and pairs is not None else None, real=False)

    def see_reference(self, batches: Iterable[UInt8[Tensor, "b c h w"]]) -> None:
        """Adds the reference's images of this process, if it has not seen them yet."""
        if not self._has_seen_reference:
            for images in batches:
                self._update(images, None, real=True)
        self._has_seen_reference = True

    def compute(self) -> dict[str, float]:
        """Name -> value. All processes must call it."""
        return {name: float(value) for name, value in self._named(self.metric.compute()).items()}

    def infos(self, names: Iterable[str]) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is. The class speaks of the first number alone."""
        return {
            name: self.info() if name == self.name else MetricInfo(None, (-math.inf, math.inf), label=name)
            for name in names
        }

    def _update(self, images: Tensor, originals: Tensor | None, real: bool) -> None:
        shown = self._shown(images)
        try:
            if self.needs_reference:
                self.metric.update(shown, real=real)
            elif self.needs_pairs:
                assert originals is not None
                self.metric.update(shown, self._shown(originals))
            else:
                self.metric.update(shown)
        except Exception as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            size = "x".join(map(str, images.shape[1:]))
            raise ValueError(
                f"{self.name}: {type(self.metric).__name__} does not take images of {size}: {said}"
            ) from error

    def _shown(self, images: Tensor) -> Tensor:
        images = images.to(self.metric.device)
        normalize = getattr(self.metric, "normalize", None)
        if not isinstance(normalize, bool):
            return images.float()
        if not getattr(self.metric, "used_custom_model", False):
            images = as_rgb(images)
        if normalize:
            return images.float() / 255
        return images.float() / 127.5 - 1 if self.needs_pairs else images

    def _named(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return {f"{self.name}_{key}": one for key, one in value.items()}
        if isinstance(value, Sequence):
            return {self.name if i == 1 else f"{self.name}_{i}": one for i, one in enumerate(value, start=1)}
        return {self.name: value}
