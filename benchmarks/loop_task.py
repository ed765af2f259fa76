"""What the loops that are compared train: one network, one set of images, one optimizer's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from difflab.config import derived as resolvers
from difflab.config.keys import composed
from difflab.config.unchosen import drop_unchosen
from difflab.data import ArrayImages, ImageData
from difflab.training import DiffusionModule

IMAGES = 512
PLAIN = ("objective=simple", "variance=fixed_small", "embedder=none", "data.num_classes=0", "logger=none")
"""DDPM's loss of a network that is told the time alone: what a bare loop has in a few lines."""

TRACKS = {
    0: ("ema=none",),
    1: ("ema=[constant]",),
    3: ("ema=[constant,half_life,warm_up]",),
}
"""Number of averages -> overrides."""


@dataclass(frozen=True)
class Task:
    """What the loops train, and on what.

    Attributes:
        size: Side of the images.
        channels: Of the images.
        batch: Images of a step.
        network: Overrides of train.py.
    """

    name: str
    size: int
    channels: int
    batch: int
    network: Sequence[str]
    pixels: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = (IMAGES, self.channels, self.size, self.size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        object.__setattr__(self, "pixels", pixels)

    def config(self, *overrides: str) -> DictConfig:
        """As the command line composes it."""
        data = (f"data.image_size={self.size}", f"data.channels={self.channels}", f"data.batch_size={self.batch}")
        return _config((*PLAIN, *data, *self.network, *overrides))

    def module(self, tracks: int = 0) -> DiffusionModule:
        """With weights that do not depend on who trains them."""
        torch.manual_seed(0)
        return instantiate(self.config(*TRACKS[tracks]).module, _convert_="all")

    def data(self) -> ImageData:
        return ImageData(ArrayImages(self.pixels), self.batch, self.size, self.channels, 0)

    def facts(self) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.module().model.parameters())
        return {"parameters": parameters, "batch": self.batch, "image": [self.channels, self.size, self.size]}


@cache
def _config(overrides: tuple[str, ...]) -> DictConfig:
    resolvers.add_resolvers()
    config = composed("train", overrides)
    drop_unchosen(config)
    return config


TINY = Task(
    "a network of a few milliseconds",
    8,
    1,
    8,
    ("network.width=16", "network.channel_mult=[1]", "network.depth=1", "network.attention_resolutions=[]"),
)
WIDTH_64 = Task(
    "UNet of width 64, multipliers 1, 2, 2, 32x32, batch 8",
    32,
    3,
    8,
    ("network.width=64", "network.channel_mult=[1,2,2]", "network.attention_resolutions=[16]"),
)
