"""What turns images into the numbers that metrics compare: features for distances, logits for scores.

An extractor is not a module and never an attribute of one: it must not enter checkpoints, follow the training precision or be
averaged by EMA. It runs without gradients in float32, outside autocast and without TF32, since a FID from reduced precision is
another metric.

What an extractor says of N images, in parts that need not be in memory together.

Row i belongs to image i, whoever computed it and in whatever batch. A part may be a memory-mapped file, so that metrics which go
through the set once (moments, scores) need the memory of one part, whatever N is.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from difflab.features.quantization import to_uint8
from difflab.runtime.foreign_code import code_of_class


class Features(NamedTuple):
    """features [B, D] for distances, logits [B, K] for scores, spatial [B, S] for distances that see where things are; float32.

    Which of them there are says the extractor's `Identity`.
    """

    features: Float[Tensor, "b d"]
    logits: Float[Tensor, "b k"] | None = None
    spatial: Float[Tensor, "b s"] | None = None


@dataclass(frozen=True)
class Identity:
    """What an extractor is called, what it gives and what it does to an image first.

    Attributes:
        name: inception, efflite0_128, digits.
        dimension: D, of the features.
        preprocessing: Resize and scaling in words; part of the fingerprint, so a change of it is a change of the extractor.
        num_classes: K, of the logits; 0 for an extractor that has none.
        spatial_dimension: S, of the spatial features; 0 for none.
        weights: Which file of weights, by name and SHA-256; empty for what comes with difflab or with a package of fixed content.
    """

    name: str
    dimension: int
    preprocessing: str
    num_classes: int = 0
    spatial_dimension: int = 0
    weights: str = ""

    @property
    def has_field_names(self) -> bool:
        """Whether its metrics are called as the field calls them, who means the graph of Inception of 2015-12-05: FID, IS, KID."""
        return self.name == "inception"

    @property
    def columns(self) -> dict[str, int]:
        """Name -> width of what `Features` holds."""
        widths = {"features": self.dimension, "logits": self.num_classes, "spatial": self.spatial_dimension}
        return {name: width for name, width in widths.items() if width}

    def named(self, stem: str) -> str:
        """What a metric of these features is called: fd_digits, precision_digits. Only Inception's are `fid`, `kid`, `precision`."""
        return _OF_INCEPTION.get(stem, stem) if self.has_field_names else f"{stem}_{self.name}"

    def label(self, general: str, of_inception: str = "") -> str:
        """What a metric of these features is called for people: FID of Inception's, FD (digits) of others."""
        return of_inception or general if self.has_field_names else f"{general} ({self.name})"

    @property
    def distance(self) -> str:
        return self.named("fd")

    @property
    def score(self) -> str:
        return self.named("is")


_OF_INCEPTION = {"fd": "fid", "sfd": "sfid", "kd": "kid", "fd_inf": "fid_inf"}
"""What the field calls the metrics of Inception's features."""


class FeatureExtractor(ABC):
    """uint8 images [B, C, H, W] -> Features; an extractor of something else says of what.

    Args:
        identity: What it is called and gives.
        network: With its weights.
        published: The weights as they were published, where the network holds them in another form: they are what tells extractors apart,
            so that a faster form of a network does not make a new extractor of it. None: the network's own.

    Attributes:
        takes_pixels: Whether it takes bytes, to which data that are no pixels are brought as samples are; else any float numbers.
        axes: How many axes an example has besides its channels: two of images, three of clips.
    """

    takes_pixels: ClassVar[bool] = True
    axes: ClassVar[int] = 2

    def __init__(self, identity: Identity, network: nn.Module, published: Mapping[str, Tensor] | None = None):
        self.identity = identity
        self._network = network.float().eval().requires_grad_(False)
        self._device = torch.device("cpu")
        self.fingerprint = _fingerprint(
            identity, network.state_dict() if published is None else published, code_of_class(type(self))
        )

    @property
    def torch_fidelity_state(self) -> Mapping[str, Tensor] | None:
        """The weights as torch-fidelity's InceptionV3 loads them, for its own computation of the numbers; None for another network."""
        return None

    @abstractmethod
    def _extract(self, images: Tensor) -> Features:
        """Features of images, uint8 if it takes pixels, that are on the network's device."""

    @property
    def network(self) -> nn.Module:
        """That makes the features."""
        return self._network

    def admitted(self, images: Tensor) -> Tensor:
        """Images in the form that it takes: those that are no pixels (a mixture's) meet it as samples do."""
        return to_uint8(images) if self.takes_pixels and images.dtype != torch.uint8 else images

    def __call__(self, images: Tensor) -> Features:
        if self.takes_pixels and (images.dtype != torch.uint8 or images.ndim != 2 + self.axes):
            raise TypeError(
                f"{self.identity.name} takes uint8 {'clips [B, C, T, H, W]' if self.axes == 3 else 'images [B, C, H, W]'}, got "
                f"{images.dtype} {list(images.shape)}: convert with difflab.features.to_uint8"
            )
        if not (self.takes_pixels or images.is_floating_point()):
            raise TypeError(f"{self.identity.name} takes float numbers, got {images.dtype} {list(images.shape)}")
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False), _full_float32():
            return self._extract(images.to(self._device))

    def check(self, shape: tuple[int, ...]) -> None:
        """Shows it one black image, before any work: an extractor knows best which images it takes.

        Args:
            shape: [C, *size] of the images that there will be.

        Raises:
            ValueError: It does not take such images, or gives other features than its identity says.
        """
        channels, *size = shape
        seen = f"{'x'.join(map(str, reversed(size))) or 'points'} with {channels} channel{'s' if channels > 1 else ''}"
        try:
            found = self(torch.zeros(1, *shape, dtype=torch.uint8 if self.takes_pixels else torch.float32))
        except Exception as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise ValueError(f"the extractor {self.identity.name} does not take images of {seen}: {said}") from error
        columns = found._asdict()
        widths = {name: columns[name].shape[1] for name in columns if columns[name] is not None}
        if widths != self.identity.columns:
            raise ValueError(
                f"the extractor {self.identity.name} says that it gives {self.identity.columns}, and gives {widths} for images of {seen}"
            )

    def to(self, device: torch.device | str) -> Self:
        self._device = torch.device(device)
        self._network.to(self._device)
        return self

    @property
    def device(self) -> torch.device:
        return self._device


def as_rgb(images: UInt8[Tensor, "b c h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """Grey images repeated to three channels."""
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images of {images.shape[1]} channels are neither grey nor RGB")
    return images.expand(-1, 3, -1, -1)


def _fingerprint(identity: Identity, weights: Mapping[str, Tensor], code: Mapping[str, str]) -> str:
    """16 hexadecimal digits that change with any weight, with the preprocessing, and with code that is not difflab's."""
    digest = hashlib.sha256(repr(identity).encode())
    for module, content in code.items():
        digest.update(f"{module} {content}".encode())
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _full_float32() -> Iterator[None]:
    """float32 that is not silently TF32 or bfloat16 inside convolutions and matrix products."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


class FeatureSet:
    """Columns (features [N, D], and where the extractor has them logits [N, K], spatial [N, S]) of N images.

    Args:
        identity: Of the extractor.
        parts: Row blocks after each other, each with the same columns, float32.
        labels: [N] int64 class of each image, or None.
        fingerprint: Of images and extractor, by which statistics of the set are cached; None for a set that is not kept.
        digests: [N, 16] uint8, a hash of each image's pixels; None where they were not looked at.
    """

    def __init__(
        self,
        identity: Identity,
        parts: Sequence[Mapping[str, Tensor]],
        labels: Int[Tensor, " n"] | None = None,
        fingerprint: str | None = None,
        digests: UInt8[Tensor, "n 16"] | None = None,
    ):
        self.identity, self.fingerprint, self.digests = identity, fingerprint, digests
        self.parts = [dict(part) for part in parts]
        self.labels = labels
        self.count = sum(len(part["features"]) for part in self.parts)
        for part in self.parts:
            found = {name: part[name].shape[1] for name in part}
            if found != identity.columns:
                raise ValueError(f"features of {identity.name} have the columns {identity.columns}, got {found}")
        if labels is not None and len(labels) != self.count:
            raise ValueError(f"{self.count} images but {len(labels)} labels")

    @classmethod
    def of(cls, identity: Identity, features: Features, labels: Tensor | None = None) -> FeatureSet:
        """A set in one part, in memory."""
        columns = {name: value for name, value in features._asdict().items() if value is not None}
        return cls(identity, [columns], labels)

    def __len__(self) -> int:
        return self.count

    def chunks(self, column: str, size: int = 4096) -> Iterator[tuple[int, Float[Tensor, "n d"]]]:
        """(number of the first row, rows) through the whole column, at most `size` rows at a time."""
        start = 0
        for part in self.parts:
            for rows in part[column].split(size):
                yield start, rows
                start += len(rows)

    def batches(self, size: int = 4096) -> Iterator[tuple[int, Features]]:
        """(number of the first row, features of the rows) through the whole set, at most `size` rows at a time."""
        start = 0
        for part in self.parts:
            pieces = {name: values.split(size) for name, values in part.items()}
            for i, features in enumerate(pieces["features"]):
                yield start, Features(**{name: found[i] for name, found in pieces.items()})
                start += len(features)

    def column(self, column: str) -> Float[Tensor, "n d"]:
        """The whole column in memory."""
        return torch.cat([part[column] for part in self.parts])

    def select(self, rows: Int[Tensor, " m"]) -> FeatureSet:
        """The set of these rows, in their order, in memory. Of the others nothing is read."""
        ends = torch.tensor([len(part["features"]) for part in self.parts]).cumsum(0)
        holder = torch.bucketize(rows, ends, right=True)
        columns = {}
        for name, width in self.identity.columns.items():
            columns[name] = torch.empty(len(rows), width)
            for i in holder.unique().tolist():
                here = holder == i
                part = self.parts[i][name]
                columns[name][here] = part[rows[here] - (ends[i] - len(part))].to(columns[name])
        return FeatureSet(self.identity, [columns], None if self.labels is None else self.labels[rows])
