"""Scenes: pictures put together of real digits, with captions and maps, from a seed."""

from difflab.data.scenes.alignment import Alignment, Found, align, find_things
from difflab.data.scenes.scenes import SPLITS, TRAINING_DIGITS, Scenes, SceneSplit
from difflab.data.scenes.words import (
    COLOURS,
    DIGITS,
    GLYPHS,
    NAMES,
    Description,
    Group,
    Relation,
    Thing,
    read_caption,
)

__all__ = [
    "COLOURS",
    "DIGITS",
    "GLYPHS",
    "NAMES",
    "SPLITS",
    "TRAINING_DIGITS",
    "Alignment",
    "Description",
    "Found",
    "Group",
    "Relation",
    "SceneSplit",
    "Scenes",
    "Thing",
    "align",
    "find_things",
    "read_caption",
]
