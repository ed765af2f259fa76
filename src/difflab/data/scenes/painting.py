"""From a description and random numbers to pixels and maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from difflab.data.scenes.words import COLOURS, Description

COLOUR_VALUES = {"red": (255, 45, 45), "green": (40, 215, 70), "blue": (70, 100, 255), "yellow": (250, 220, 40)}
INK = 0.25
"""From this share of full ink on a pixel belongs to a thing."""

_TRIES = 64
_OVERLAP = 2
PLACES = 2 * 4 * _TRIES
"""How many random numbers `place` may need, for four things."""


@dataclass(frozen=True)
class Painted:
    """A scene.

    Attributes:
        pixels: [C, H, W] uint8.
        things: [H, W] uint8, the class of each pixel: 0 background, 1 to 10 digits, 11 to 16 glyphs.
        colours: [H, W] uint8, 0 background or grey, 1 to 4 as in `COLOURS`.
    """

    pixels: NDArray[np.uint8]
    things: NDArray[np.uint8]
    colours: NDArray[np.uint8]


def place(
    description: Description, sides: list[int], image_size: int, uniform: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Upper left corners [N, 2] of the things, such that relations hold and boxes hardly overlap; None where no try succeeds.

    Args:
        description: What is to be seen.
        sides: Of the square box of each thing, in pixels.
        image_size: Side of the scene.
        uniform: [at least 2 N _TRIES] numbers in (0, 1).
    """
    n = len(sides)
    side = np.array(sides)
    room = image_size - side + 1
    corners = (uniform[: 2 * n * _TRIES].reshape(_TRIES, n, 2) * room[None, :, None]).astype(np.int64)
    centres = corners + side[:, None] / 2
    fits = np.ones(_TRIES, bool)
    for i in range(n):
        for j in range(i):
            apart = np.abs(centres[:, i] - centres[:, j]) - (side[i] + side[j]) / 2
            fits &= (apart >= -_OVERLAP).any(1)
    first = 0
    for group in description.groups:
        if group.relation is not None:
            along, across = group.relation.way(centres[:, first], centres[:, first + 1])
            fits &= along >= 2 * np.abs(across)
        first += len(group.things)
    found = np.flatnonzero(fits)
    return corners[found[0]] if len(found) else None


def paint(
    description: Description,
    inks: list[NDArray[np.float32]],
    corners: NDArray[np.int64],
    image_size: int,
    channels: int,
) -> Painted | None:
    """The scene; None where the ink of two things touches.

    Args:
        description: What is to be seen.
        inks: [h, w] of each thing, in [0, 1].
        corners: [N, 2], row and column of the upper left corner of each.
        image_size: Side of the scene.
        channels: 1 for grey, 3 for colours.
    """
    pixels = np.zeros((channels, image_size, image_size), np.float32)
    things, colours = (np.zeros((image_size, image_size), np.uint8) for _ in range(2))
    for thing, ink, (row, column) in zip(description.things, inks, corners, strict=True):
        window = (slice(row, row + ink.shape[0]), slice(column, column + ink.shape[1]))
        mask = ink >= INK
        if (things[window][ink > 0] > 0).any() or (pixels[(slice(None), *window)].max(0)[mask] > 0).any():
            return None
        value = np.array(COLOUR_VALUES[thing.colour] if thing.colour else (255,) * channels, np.float32)
        area = pixels[(slice(None), *window)]
        np.maximum(area, ink[None] * value[:channels, None, None], out=area)
        things[window][mask] = thing.number
        colours[window][mask] = COLOURS.index(thing.colour) + 1 if thing.colour else 0
    return Painted(pixels.round().astype(np.uint8), things, colours)


def scaled(ink: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Ink of another size."""
    if ink.shape == (side, side):
        return ink
    image = Image.fromarray((255 * ink).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    return (np.asarray(image, np.float32) / 255).astype(np.float32)
