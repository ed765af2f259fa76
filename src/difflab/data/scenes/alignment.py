"""Whether a picture shows what its caption says: things found in a map of it, against those of the description."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difflab.data.scenes.words import COLOURS, NAMES, Description, Group

FEWEST = 5
"""Pixels below which a patch of ink is no thing."""

_FEW = 10


@dataclass(frozen=True)
class Found:
    """A thing that is seen.

    Attributes:
        name: Of `NAMES`.
        colour: Of `COLOURS`; None for grey.
        centre: Row and column of the mean of its pixels.
        pixels: How many it has.
    """

    name: str
    colour: str | None
    centre: tuple[float, float]
    pixels: int


def find_things(things: NDArray[np.uint8], colours: NDArray[np.uint8]) -> list[Found]:
    """The things in the maps of a picture, as `Scenes.maps` and `Scenes.colour_maps` hold them; of two that touch each is found.

    A thing is a patch of pixels of one class and colour, of at least `FEWEST`; gaps of a pixel do not part it. In ink of one colour that
    hangs together a class of fewer than ten pixels is that of the most.

    Args:
        things: [H, W], 0 background.
        colours: [H, W], 0 background or grey.
    """
    classes = np.array(things)
    for colour in np.unique(colours[things > 0]):
        for patch in _patches((things > 0) & (colours == colour)):
            values, sizes = np.unique(things[patch], return_counts=True)
            largest = values[sizes.argmax()]
            classes[patch & np.isin(classes, values[sizes < _FEW])] = largest
    found = []
    for number, colour in sorted(set(zip(classes[things > 0].tolist(), colours[things > 0].tolist(), strict=True))):
        mine = (classes == number) & (colours == colour) & (things > 0)
        for patch in _patches(_widened(mine)):
            at = np.argwhere(mine & patch)
            if len(at) >= FEWEST:
                row, column = at.mean(0).tolist()
                name = COLOURS[colour - 1] if colour else None
                found.append(Found(NAMES[number - 1], name, (row, column), len(at)))
    return found


def _patches(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """What hangs together, also across corners."""
    from scipy.ndimage import label  # slow to import, and few need it

    numbers: Any = np.zeros(mask.shape, int)
    count: Any = label(mask, np.ones((3, 3), int), output=numbers)
    return [numbers == number for number in range(1, count + 1)]


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the pixels to the right, below and between: patches that are a pixel apart touch."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:, 1:] |= wide[:, :-1]
    return wide


@dataclass(frozen=True)
class Alignment:
    """What of a description is to be seen.

    Attributes:
        digit: All things that are named.
        colour: All things whose colour is said, in that colour.
        count: As many things as are named.
        relation: Each pair as it is said; None where nothing is said of any.
    """

    digit: bool
    colour: bool
    count: bool
    relation: bool | None

    @property
    def whole(self) -> bool:
        return self.digit and self.colour and self.count and self.relation is not False


def align(description: Description, found: list[Found]) -> Alignment:
    """Compares what is said with what was found.

    Args:
        description: Of the caption.
        found: The things of the picture.
    """
    said = description.things
    names = Counter(thing.name for thing in said) - Counter(thing.name for thing in found)
    pairs: Counter[tuple[str, str | None]] = Counter((thing.name, thing.colour) for thing in said if thing.colour)
    colours = pairs - Counter((thing.name, thing.colour) for thing in found)
    related = [group for group in description.groups if group.relation is not None]
    return Alignment(
        digit=not names,
        colour=not colours,
        count=len(said) == len(found),
        relation=all(_holds(group, found) for group in related) if related else None,
    )


def _holds(group: Group, found: list[Found]) -> bool:
    first, second = (
        [one for one in found if one.name == thing.name and thing.colour in (None, one.colour)]
        for thing in group.things
    )
    assert group.relation is not None
    return any(group.relation.holds(a.centre, b.centre) for a in first for b in second if a is not b)
