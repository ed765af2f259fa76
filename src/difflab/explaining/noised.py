"""Real examples of the data, noised: the same ones by the same noise, as each row's schedule does it, and what is left of them at t = 1."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from difflab.config.build import build
from difflab.config.groups import ConfigError
from difflab.data import DataError
from difflab.data.named_sets import nothing_fetched
from difflab.explaining.row import Row
from difflab.noise import ImageNoise
from difflab.objectives import prior_bits
from difflab.pictures import plane, reach_of
from difflab.process import over, perturb
from difflab.reading.json import dumps
from difflab.schedules import Chain
from difflab.spaces import Pixels, Space
from difflab.types import AlphaSigma

SHOWN, TIMES, MEASURED, IN_CLOUD = 4, 10, 64, 1000
"""Images of a picture; times at which they are shown; examples whose bits are measured; points of a cloud."""

SIDE = 144
"""Pixels of a picture of the images at one time, at most."""


@dataclass(frozen=True)
class Examples:
    """Examples of a data set, in the space in which a model of them lives.

    Attributes:
        x_0: [n, C, *size].
        space: Theirs.
    """

    x_0: Tensor
    space: Space

    @property
    def is_cloud(self) -> bool:
        """Whether they are points, which are looked at all together."""
        return self.x_0.ndim == 2


def examples_of(rows: Sequence[Row], parts: Sequence[Mapping[str, Any]]) -> list[Examples | None]:
    """Of each row's data; rows with the same data have the same ones. None, and a note, where they cannot be read."""
    known: dict[str, Examples | ConfigError] = {}
    found = list[Examples | None]()
    for row, one in zip(rows, parts, strict=True):
        name = dumps({"data": one.get("data"), "space": one.get("space")})
        if name not in known:
            known[name] = _read(one)
        examples = known[name]
        if isinstance(examples, ConfigError):
            row.notes.append("no images: its data are not at hand")
            print(f"{row.name}: no images: {examples}", file=sys.stderr)  # paths are no business of a page
        found.append(None if isinstance(examples, ConfigError) else examples)
    return found


@torch.no_grad()
def _read(parts: Mapping[str, Any]) -> Examples | ConfigError:
    try:
        if not parts.get("data"):
            return ConfigError("the configuration has no data")
        if missing := _missing(parts["data"], "data"):
            return ConfigError(f"{', '.join(missing)} must be given")
        with nothing_fetched():
            data = build(parts["data"], num_classes=0, num_workers=0)
        space = build(parts["space"]) if parts.get("space") else Pixels()
        points = len(data.dataset.shape) == 1
        count = min(IN_CLOUD if points else MEASURED, len(data.dataset))
        numbers = torch.linspace(0, len(data.dataset) - 1, count).round().long()
        images = data.dataset.images(numbers)
        examples = images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float()
        return Examples(space.encode(examples, ImageNoise(0, numbers)), space)
    except (ConfigError, DataError, OSError, ImportError, ValueError, RuntimeError) as error:
        return ConfigError(" ".join(str(error).split()))


def _missing(node: Any, path: str) -> list[str]:
    """The keys of values that nobody has given."""
    if isinstance(node, Mapping):
        return [one for key, inner in node.items() for one in _missing(inner, f"{path}.{key}")]
    return [path] if node == "???" else []


@torch.no_grad()
def bits_left(row: Row, examples: Examples | None) -> float | None:
    """What x_1 still knows of x_0, bits per dimension, on average over the examples (`difflab.objectives.prior_bits`)."""
    if examples is None:
        return None
    ends = Chain(row.schedule, torch.tensor([0.0, 1.0], dtype=torch.float64))
    return prior_bits(examples.x_0.double(), ends).mean().item()


def is_scaled(row: Row) -> bool:
    """Whether alpha^2 + sigma^2 is not 1, so that pictures show x_t divided by its root."""
    alpha, sigma = row.schedule(torch.linspace(0, 1, TIMES, dtype=torch.float64))
    return bool((torch.hypot(alpha, sigma) - 1).abs().max() > 0.01)


@torch.no_grad()
def strip(row: Row, examples: Examples) -> list[Image.Image]:
    """The examples at `TIMES` times from 0 to 1, as this row noises them.

    It is x_t / sqrt(alpha^2 + sigma^2) that is shown, which is x_t where variance is preserved, and can be seen where it explodes.
    """
    x_0, space = examples.x_0, examples.space
    if not examples.is_cloud:
        x_0 = x_0[torch.linspace(0, len(x_0) - 1, min(SHOWN, len(x_0))).round().long()]
    eps = ImageNoise(0, torch.arange(len(x_0))).normal("explain", tuple(x_0.shape[1:])).to(x_0)
    reach = max(reach_of(x_0[:, :2]), 2.8)
    found = []
    for t in torch.linspace(0, 1, TIMES, dtype=torch.float64):
        alpha, sigma = row.schedule(t.expand(len(x_0)))
        x_t = perturb(x_0, eps, AlphaSigma(alpha, sigma)) / over(torch.hypot(alpha, sigma), x_0)
        if examples.is_cloud:
            found.append(plane(x_t[:, :2], reach, dot=4).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
        else:
            found.append(_reduced(_picture(x_t, space)))
    return found


def _picture(x_t: Tensor, space: Space) -> Image.Image:
    seen = space.decode(x_t)
    if space.holds_pixels:
        seen = ((seen.clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray((space.picture(seen, 0).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def _reduced(image: Image.Image) -> Image.Image:
    """At most so large, without the smoothing that would take noise away from what is a picture of noise."""
    scale = SIDE / max(image.size)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.NEAREST)
