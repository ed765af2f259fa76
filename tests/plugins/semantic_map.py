"""Digits with a map of where there is ink: a dense part of the condition, which a network reads as further channels of x_t."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from difflab.data import AnnotationInMemory, Digits, ImageDataset, InMemoryImages
from difflab.networks import Network, UNet
from difflab.types import Condition, DroppablePart, GivenImage


def ink(dataset: ImageDataset) -> Tensor:
    """[N, 2, H, W] float: paper and ink."""
    dark = dataset.images(range(len(dataset))) > 127
    return torch.cat([~dark, dark], dim=1).float()


@dataclass(frozen=True)
class SemanticMap(DroppablePart):
    """One channel for each class of pixels; dropped, no pixel has a class.

    Attributes:
        values: [B, K, H, W], 0 or 1.
    """

    over_pixels = frozenset({"values"})

    values: Tensor

    def null(self) -> SemanticMap:
        return SemanticMap(torch.zeros_like(self.values))

    def instead(self, value: object) -> SemanticMap:
        raise ValueError(f"map: {value!r} is no map, and the null map can be had by dropping it")


class MappedDigits(InMemoryImages):
    """scikit-learn's digits, their classes, and a map of each."""

    def __init__(self):
        digits = Digits()
        super().__init__(digits.images(range(len(digits))), digits.labels, digits.class_names, "mapped digits")
        self.annotations = {"map": AnnotationInMemory(SemanticMap(ink(self)))}


class GivenDigits(InMemoryImages):
    """The same with the map as the image that network=superres reads, which says what the task is and cannot be dropped."""

    def __init__(self):
        digits = Digits()
        super().__init__(digits.images(range(len(digits))), digits.labels, digits.class_names, "given digits")
        self.annotations = {"image": AnnotationInMemory(GivenImage(ink(self)))}


class Concatenated(Network):
    """UNet([x, map], time, cond)."""

    def __init__(self, unet: UNet, map_channels: int):
        super().__init__()
        self.unet = unet
        self.image_size, self.out_channels = unet.image_size, unet.out_channels
        self.in_channels = unet.in_channels - map_channels
        self.attention_places = unet.attention_places

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        told = SemanticMap.of(cond)
        if told is None:
            raise ValueError("the network reads a map, and is told none")
        return self.unet(torch.cat([x, told.values.to(x)], dim=1), time, cond)
