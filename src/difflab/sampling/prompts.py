"""For whom images are drawn: what the choices of conf/conditions are, and how several of them are put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from difflab.conditioning import Conditioning, LowResolution, low_resolution_of
from difflab.data.dataset import LabelledSource
from difflab.features import to_uint8
from difflab.metrics import Pairs
from difflab.noise import Noise
from difflab.types import Condition


@dataclass(frozen=True)
class Drawing:
    """What is drawn, as far as those have to know who say for whom.

    Attributes:
        image_shape: (C, *size) of an image, as it is seen.
        num_classes: Classes that the images have: those that the model is told, or that guide it; 0 for none.
        told: Names of the parts of the condition that the model was told in training.
        conditionings: Name -> what made parts of the condition from the training images.
        data: Opens the images whose conditions may be taken; None where nothing is known of any.
        first_seed: The seed of image 0.
        num_samples: How many images are asked for.
    """

    image_shape: tuple[int, ...]
    num_classes: int = 0
    told: tuple[str, ...] = ()
    conditionings: Mapping[str, Conditioning] = field(default_factory=dict)
    data: Callable[[], LabelledSource] | None = None
    first_seed: int = 0
    num_samples: int = 0

    @property
    def low_resolution(self) -> LowResolution | None:
        """How small images are made for the model, of one that upsamples."""
        return low_resolution_of(self.conditionings)

    def condition_of(self, cond: Condition, x_0: Float[Tensor, "b c h w"], noise: Noise) -> Condition:
        """What the model is told of images that there are.

        Args:
            cond: What is known of them.
            x_0: The images, in the model's units.
            noise: From which conditionings draw.
        """
        cond = self.of_what_is_told(cond)
        for conditioning in self.conditionings.values():
            if isinstance(conditioning, LowResolution):
                cond = conditioning.given(cond, conditioning.small(x_0), noise)
            else:
                cond = conditioning(cond, x_0, noise)
        return self.of_what_is_told(cond)  # what the model makes itself, as an estimate, it makes anew

    def of_what_is_told(self, cond: Condition) -> Condition:
        """Without what the model does not know."""
        return cond.having(**dict.fromkeys(name for name in cond if name not in self.told))


class Conditions(ABC):
    """Seeds -> Condition: a function of each seed, so that it does not matter who draws the image and with which others.

    It is made ready by `prepare` for what is drawn, and serves then; it may be made ready again.

    Attributes:
        drawing: What is drawn.
    """

    drawing: Drawing

    def prepare(self, drawing: Drawing) -> Self:
        """Makes ready.

        Raises:
            ValueError: Images cannot be drawn so for these conditions.
        """
        self.drawing = drawing
        self.check()
        return self

    @abstractmethod
    def check(self) -> None:
        """Looks at `drawing`: whether images can be drawn so, and what has to be known of it. Opens no data.

        Raises:
            ValueError: They cannot.
        """

    @property
    @abstractmethod
    def names(self) -> frozenset[str]:
        """Of the parts of the condition that it gives."""

    @property
    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """What a protocol says of them, nested: what they are, by a hash, and how many, if not by their names."""

    @abstractmethod
    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        """The condition of the images with these seeds, on their device."""

    @property
    def columns(self) -> int:
        """Columns of a picture in which equal classes stand below each other; 0 where there is no such order."""
        return 0

    @property
    def pairs(self) -> Pairs | None:
        """What each image is compared with, by its number; None where there is nothing."""
        return None

    def shown(self, images: UInt8[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w2"]:
        """What a picture shows of images: they alone; or small image, result and, where it is known, original from left to right.

        Args:
            images: The images, uint8.
            seeds: The seeds that they were drawn from.
        """
        pairs, index = self.pairs, seeds - self.drawing.first_seed
        if pairs is None:
            return images
        small = F.interpolate(to_uint8(pairs.small(index)).float(), images.shape[2:], mode="nearest").to(images)
        originals = [pairs.originals(index).to(images)] if pairs.has_originals else []
        return torch.cat([small, images, *originals], dim=3)


class Several(Conditions):
    """Conditions of which each gives parts of the whole; of those that give the same part, the last one does.

    Args:
        parts: Name -> conditions.
    """

    def __init__(self, parts: Mapping[str, Conditions]):
        self.parts = dict(parts)

    def check(self) -> None:
        for one in self.parts.values():
            one.prepare(self.drawing)

    @property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(one.names for one in self.parts.values()))

    @property
    def fields(self) -> dict[str, Any]:
        return {name: value for one in self._used for name, value in one.fields.items()}

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        cond = Condition()
        for one in self._used:
            found = one(seeds)
            if lacking := [name for name in one.names if self.giver(name) is one and name not in found]:
                why = f"{lacking_part(lacking[0])}, and these images have none: {remedy(lacking[0])}"
                raise ValueError(f"{self._name(one)}: {why}")
            cond = cond.having(**{name: part for name, part in found.items() if self.giver(name) in (one, None)})
        return cond

    @property
    def columns(self) -> int:
        return min((one.columns for one in self._used), default=0)

    @property
    def pairs(self) -> Pairs | None:
        return next((one.pairs for one in reversed(self._used) if one.pairs is not None), None)

    def giver(self, name: str) -> Conditions | None:
        """Who gives a part; None for nobody."""
        return next((one for one in reversed(self.parts.values()) if name in one.names), None)

    def check_told(self) -> None:
        """Checks, by the first image, that there is everything that the model is told.

        Raises:
            ValueError: Nobody gives a part.
        """
        cond = self(torch.tensor([self.drawing.first_seed]))
        if lacking := [name for name in self.drawing.told if name not in cond]:
            raise ValueError(f"{lacking_part(lacking[0])}, and nothing says which: {remedy(lacking[0])}")

    @property
    def _used(self) -> list[Conditions]:
        """Those that give something, or say that there is nothing to give."""
        return [one for one in self.parts.values() if not one.names or any(self.giver(n) is one for n in one.names)]

    def _name(self, part: Conditions) -> str:
        return next(name for name, one in self.parts.items() if one is part)


def lacking_part(name: str) -> str:
    """The beginning of a message about a part of the condition that nobody gives."""
    return "the model needs a class" if name == "label" else f"the model is told {name}"


def remedy(name: str) -> str:
    """Its end."""
    if name == "label":
        return "give classes=3, or labels.npy"
    return "choose conditions=[of_data] for what the data say, or conditions of your own that give it"
