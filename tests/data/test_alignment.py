"""What of a description is to be seen in the maps of a picture."""

import numpy as np
import pytest

from difflab.data import Scenes
from difflab.data.scenes import Found, align, find_things, read_caption


@pytest.mark.parametrize("kind", [(8, 1, 1), (16, 3, 2), (32, 3, 4)])
def test_exact_maps_are_aligned(kind):
    scenes = Scenes(*kind, count=300, glyphs=kind[2] > 1)
    for one, things, colours in zip(scenes.descriptions, scenes.maps.numpy(), scenes.colour_maps.numpy(), strict=True):
        assert align(one, find_things(things, colours)).whole


def test_maps_of_other_scenes_are_not():
    scenes = Scenes(16, 3, 2, count=600)
    found = [find_things(*maps) for maps in zip(scenes.maps.numpy(), scenes.colour_maps.numpy(), strict=True)]
    others = zip(scenes.descriptions, found[1:] + found[:1], strict=True)
    assert np.mean([align(one, seen).whole for one, seen in others]) < 0.05


SEEN = [Found("seven", "red", (4, 4), 20), Found("three", "blue", (5, 12), 20)]


@pytest.mark.parametrize(
    ("caption", "digit", "colour", "count", "relation"),
    [
        ("a red seven left of a blue three", True, True, True, True),
        ("a blue three right of a red seven", True, True, True, True),
        ("a seven left of a three", True, True, True, True),
        ("a red seven above a blue three", True, True, True, False),
        ("a red seven right of a blue three", True, True, True, False),
        ("a blue seven left of a red three", True, False, True, False),
        ("a red two left of a blue three", False, False, True, False),
        ("a red seven", True, True, False, None),
        ("a red seven left of a blue three, and a green two", False, False, False, True),
    ],
)
def test_categories(caption, digit, colour, count, relation):
    found = align(read_caption(caption), SEEN)
    assert (found.digit, found.colour, found.count, found.relation) == (digit, colour, count, relation)
    assert found.whole == (digit and colour and count and relation is not False)


def test_specks_are_no_things_and_gaps_part_none():
    things, colours = np.zeros((2, 16, 16), np.uint8)
    things[2:8, 3:5], colours[2:8, 3:5] = 8, 1
    things[5], colours[5] = 0, 0  # a stroke that is broken
    things[12, 12:14], colours[12, 12:14] = 3, 2  # two pixels of another
    things[3, 3] = 2  # a pixel of another class within the ink
    (one,) = find_things(things, colours)
    assert (one.name, one.colour, one.pixels) == ("seven", "red", 10)
