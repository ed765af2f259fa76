"""Data sets of scenes: real digits put together, with a caption and a map of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from difflab.captions import Text
from difflab.data.annotations import AnnotationInMemory
from difflab.data.dataset import InMemoryImages
from difflab.data.errors import DataError
from difflab.data.named_sets import Digits
from difflab.data.scenes.glyphs import glyph
from difflab.data.scenes.painting import PLACES, Painted, paint, place, scaled
from difflab.data.scenes.words import COLOURS, DIGITS, GLYPHS, Description, Group, Relation, Thing
from difflab.noise import ImageNoise

TRAINING_DIGITS = 1200
"""So many of the 1,797 digits are in scenes to be trained on; the others are in those that are held out."""

SIZED, LARGE = 32, 14
"""From this side on things are small, with 8 pixels, or large, with these."""

_ATTEMPTS, _AT_ONCE, _WORDS = 200, 1024, 24

T = TypeVar("T")


@dataclass(frozen=True)
class SceneSplit:
    """Which scenes: of which digits, and said in which words.

    Attributes:
        digits: Whether they are made of the digits of training; False: of those never seen.
        held_out: Whether captions have a pair of colour, digit and relation that training has not; False: none has.
    """

    digits: bool
    held_out: bool


SPLITS = {
    "train": SceneSplit(True, False),
    "seen": SceneSplit(False, False),
    "held_out": SceneSplit(False, True),
}


class Scenes(InMemoryImages):
    """Scenes of scikit-learn's real digits, each with its caption: "a red seven left of a small blue three".

    They follow from the seed alone. What a scene shows is drawn first, then where, then of which digit's image each thing is made.

    Args:
        image_size: Side of a scene in pixels; things have 8, large ones in scenes of 32 and more 14.
        channels: 1: grey, one thing in each and no colours; 3: four colours.
        most: Things in a scene at most, 1 to 4; scenes of 1 to this number are equally frequent, but for those that the split excludes.
        count: How many scenes.
        split: train; seen: other digits in words that training has; held_out: other digits, in words that it has not.
        glyphs: Whether six glyphs are among the things, as often as digits.
        seed: Another one gives other scenes.

    Attributes:
        descriptions: What each shows.
        maps: [N, H, W] uint8, the class of each pixel: 0 background, 1 to 10 digits, 11 to 16 glyphs.
        colour_maps: [N, H, W] uint8, 0 background or grey, 1 to 4 red, green, blue, yellow.
    """

    own_extractor = "difflab.features.ThumbnailExtractor"

    def __init__(
        self,
        image_size: int,
        channels: int,
        most: int,
        count: int,
        split: str = "train",
        glyphs: bool = False,
        seed: int = 0,
    ):
        if split not in SPLITS:
            raise DataError(f"data.dataset.split={split}: scenes have the splits {', '.join(SPLITS)}.")
        if not 1 <= most <= 4 or count < 1 or channels not in (1, 3) or image_size < 8 * (1 if most == 1 else 2):
            raise DataError(
                f"data.dataset: {most} things in {image_size}x{image_size} with {channels} channels, {count} scenes: choose 1 to 4 things, "
                "8 pixels for one and 16 for more, 1 or 3 channels."
            )
        if channels == 1 and SPLITS[split].held_out:
            raise DataError(
                f"data.dataset.split={split}: a grey scene's words are its digit, and training has all ten."
            )
        made = _Painter(image_size, channels, most, SPLITS[split], glyphs, seed).scenes(count)
        self.descriptions = tuple(description for description, _ in made)
        self.maps, self.colour_maps = (
            torch.from_numpy(np.stack([getattr(painted, name) for _, painted in made]))
            for name in ("things", "colours")
        )
        pixels = torch.from_numpy(np.stack([painted.pixels for _, painted in made]))
        super().__init__(pixels, None, (), "scenes")
        self.annotations = {"text": AnnotationInMemory(Text.of_captions([str(one) for one in self.descriptions]))}


class _Painter:
    """Makes scenes by their numbers, each from random numbers of its own."""

    def __init__(self, image_size: int, channels: int, most: int, split: SceneSplit, glyphs: bool, seed: int):
        self.image_size, self.channels, self.most, self.split, self.seed = image_size, channels, most, split, seed
        self.names = DIGITS + GLYPHS if glyphs else DIGITS
        digits = Digits()
        assert digits.labels is not None
        order = torch.argsort(ImageNoise(0, torch.arange(len(digits))).uniform("digits of scenes"), stable=True)
        mine = order[:TRAINING_DIGITS] if split.digits else order[TRAINING_DIGITS:]
        inks = digits.images(mine).numpy()[:, 0].astype(np.float32) / 255
        labels = digits.labels[mine].numpy()
        self.inks = {name: list(inks[labels == n]) for n, name in enumerate(DIGITS)}

    def scenes(self, count: int) -> list[tuple[Description, Painted]]:
        """Those number 0, 1, ...: what cannot be placed, or is of another split, is drawn again."""
        made: dict[int, tuple[Description, Painted]] = {}
        for begin in range(0, count, _AT_ONCE):
            missing = list(range(begin, min(begin + _AT_ONCE, count)))
            for attempt in range(_ATTEMPTS):
                if not missing:
                    break
                noise = ImageNoise(self.seed, torch.tensor(missing))
                what = noise.uniform("what a scene shows", (_WORDS,), attempt).numpy()
                where = noise.uniform("where it is", (PLACES,), attempt).numpy()
                for number, words, places in zip(missing, what, where, strict=True):
                    scene = self._scene(words, places)
                    if scene is not None:
                        made[number] = scene
                missing = [number for number in missing if number not in made]
            if missing:
                raise DataError(
                    f"scenes of {self.most} things in {self.image_size} pixels: no place in {_ATTEMPTS} attempts"
                )
        return [made[number] for number in range(count)]

    def _scene(self, words: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[Description, Painted] | None:
        description = self._description(words)
        if description is None or description.is_held_out != self.split.held_out:
            return None
        inks = [self._ink(thing, u) for thing, u in zip(description.things, words[-8:].reshape(4, 2), strict=False)]
        corners = place(description, [len(ink) for ink in inks], self.image_size, places)
        painted = None if corners is None else paint(description, inks, corners, self.image_size, self.channels)
        return None if painted is None else (description, painted)

    def _description(self, u: NDArray[np.float64]) -> Description | None:
        n = 1 + int(self.most * u[0])
        sized = self.image_size >= SIZED
        large = int(n * u[1])  # of three and four things only one is large
        things = []
        for k, (name, colour, size) in enumerate(u[4 : 4 + 3 * n].reshape(n, 3)):
            small = sized and (size < 0.5 if n <= 2 else k != large)
            things.append(Thing(_one(self.names, name), _one(COLOURS, colour) if self.channels == 3 else None, small))
        if len({(thing.name, thing.colour) for thing in things}) < n:
            return None  # two that are alike could not be told apart
        groups = []
        for k in range(0, n, 2):
            pair = tuple(things[k : k + 2])
            groups.append(Group(pair, _one(tuple(Relation), u[2 + k // 2]) if len(pair) == 2 else None))
        return Description(tuple(groups))

    def _ink(self, thing: Thing, u: NDArray[np.float64]) -> NDArray[np.float32]:
        drawn = thing.name in GLYPHS
        ink = glyph(thing.name, 24 * u[0] - 12, 0.8 + 0.4 * u[1]) if drawn else _one(self.inks[thing.name], u[0])
        return scaled(ink, LARGE if self.image_size >= SIZED and not thing.is_small else 8)


def _one(of: Sequence[T], u: float) -> T:
    return of[int(len(of) * u)]
