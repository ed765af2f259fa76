"""Cascades in sampling: what the stage before has drawn is enlarged (Cascaded Diffusion, arXiv 2106.15282)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.conditioning import Conditions, LowResolution
from difflab.sampling.given_images import EnlargementOf, GivenImages
from difflab.types import Condition


class EnlargementOfStage(Conditions):
    """The image of each seed is drawn for the image of the same seed of the stage before. Nothing of it is read before it is asked for,
    since it may not be drawn yet.

    low_resolution   how the model was told small images
    given            gives the images of the stage before, that of first_seed at first
    classes          of each image; None for those of the stage before
    first_seed       the seed of the first
    """

    columns = 0

    def __init__(
        self,
        low_resolution: LowResolution,
        given: Callable[[], GivenImages],
        classes: Conditions | None,
        first_seed: int,
    ):
        self._low_resolution = low_resolution
        self._given = given
        self._classes = classes
        self._first_seed = first_seed

    @property
    def fields(self) -> dict[str, Any]:
        """The images are those of the stage before, of which the protocol tells all the rest."""
        classes = {"classes": "of the stage before"} if self._classes is None else self._classes.fields
        noise = self._low_resolution.augmentation.described
        return classes | {"low_resolution": {"size": self._low_resolution.size, "noise": noise}}

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        return self._drawn(seeds)

    def shown(self, images: UInt8[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w2"]:
        return self._drawn.shown(images, seeds)

    @cached_property
    def _drawn(self) -> EnlargementOf:
        return EnlargementOf(self._given(), self._classes, self._first_seed)


def images_of_stages(num_samples: int, batch_sizes: list[int]) -> list[int]:
    """How many images each stage draws, so that the last has `num_samples`: the one before it draws for whole batches of it.

    The last batch is filled up with further seeds, and an image of them has to be what it will be when the set grows.
    """
    counts = [num_samples]
    for size in reversed(batch_sizes[1:]):
        last = counts[0]
        counts.insert(0, last if last <= size else -(-last // size) * size)
    return counts
