"""Scenes: words that are read as they are written, splits that have nothing in common, pictures that show what is said."""

from collections import Counter

import numpy as np
import pytest
import torch

from difflab.captions import Text
from difflab.data import DataError, Digits, Scenes
from difflab.data.scenes import COLOURS, DIGITS, GLYPHS, NAMES, TRAINING_DIGITS, Relation, read_caption
from difflab.data.scenes.painting import COLOUR_VALUES

KINDS = {"8": (8, 1, 1), "16": (16, 3, 2), "32": (32, 3, 4)}


def scenes(kind: str, count: int = 300, **options) -> Scenes:
    return Scenes(*KINDS[kind], count, **options)


@pytest.fixture(scope="module")
def of_16() -> Scenes:
    return scenes("16", 1500)


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_read_as_they_are_written(kind):
    made = scenes(kind)
    assert all(read_caption(str(one)) == one for one in made.descriptions)
    told = Text.of(made.condition(torch.arange(300)))
    assert told is not None
    assert told.texts() == [str(one) for one in made.descriptions]
    assert {len(one.things) for one in made.descriptions} == set(range(1, KINDS[kind][2] + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_maps_hold_what_is_said_and_where_it_is(kind):
    made = scenes(kind, glyphs=kind == "32")
    for one, things, colours in zip(made.descriptions, made.maps.numpy(), made.colour_maps.numpy(), strict=True):
        expected = Counter((t.number, COLOURS.index(t.colour) + 1 if t.colour else 0) for t in one.things)
        ink = things > 0
        found = Counter(zip(things[ink].tolist(), colours[ink].tolist(), strict=True))
        assert found.keys() == expected.keys()
        for group in one.groups:
            if group.relation is not None:
                centres = []
                for thing in group.things:
                    mine = (things == thing.number) & (colours == COLOURS.index(thing.colour or "") + 1)
                    centres.append(np.argwhere(mine).mean(0))
                assert group.relation.holds(*centres), str(one)


def test_pixels_have_the_colour_of_the_map(of_16):
    pixels = of_16.images(range(len(of_16))).permute(0, 2, 3, 1).float()
    for number, name in enumerate(COLOURS, 1):
        seen = torch.nn.functional.normalize(pixels[of_16.colour_maps == number], dim=-1)
        exact = torch.nn.functional.normalize(torch.tensor(COLOUR_VALUES[name]).float(), dim=-1)
        assert (seen @ exact).min() > 0.99  # rounding to bytes at a quarter of the ink
    assert pixels[of_16.maps == 0].max() < 0.25 * 255


def test_a_digit_is_a_real_one_of_the_split():
    digits = Digits()
    known = {bytes(image.flatten().tolist()) for image in digits.images(range(len(digits)))}
    drawn = {
        split: {bytes(x.flatten().tolist()) for x in scenes("8", 3000, split=split).images(range(3000))}
        for split in ("train", "seen")
    }
    assert drawn["train"] <= known
    assert drawn["seen"] <= known
    assert not drawn["train"] & drawn["seen"]
    assert 900 < len(drawn["train"]) <= TRAINING_DIGITS
    assert 500 < len(drawn["seen"]) <= len(digits) - TRAINING_DIGITS


def test_words_that_are_held_out_are_in_no_caption_of_training_and_about_a_fifth_of_all(of_16):
    assert not any(one.is_held_out for one in of_16.descriptions)
    assert not any(one.is_held_out for one in scenes("16", split="seen").descriptions)
    held_out = scenes("16", 1500, split="held_out").descriptions
    assert all(one.is_held_out for one in held_out)
    words = {word for one in of_16.descriptions for word in str(one).split()}
    assert {word for one in held_out for word in str(one).split()} <= words, "each word by itself is known"
    every = [
        read_caption(f"a {c} {d} {relation.value} a {k} {e}").is_held_out
        for c in COLOURS for d in DIGITS for k in COLOURS for e in DIGITS for relation in Relation
        if (c, d) != (k, e)
    ]  # fmt: skip
    alone = [read_caption(f"a {c} {d}").is_held_out for c in COLOURS for d in DIGITS]
    assert 0.15 < (np.mean(every) + np.mean(alone)) / 2 < 0.25


@pytest.mark.parametrize("relation", Relation)
def test_a_relation_turned_says_the_same(relation):
    group = read_caption(f"a red seven {relation.value} a small blue three").groups[0]
    assert group.turned.turned == group
    assert relation.holds((8, 3), (9, 12)) == relation.turned.holds((9, 12), (8, 3))
    assert sum(one.holds((8, 3), (9, 12)) for one in Relation) == 1


def test_the_seed_and_nothing_else_makes_them():
    assert scenes("32", 40).fingerprint == scenes("32", 40).fingerprint
    assert torch.equal(scenes("32", 40).images(range(9)), scenes("32", 9).images(range(9)))
    assert scenes("32", 40).fingerprint != scenes("32", 40, seed=1).fingerprint


def test_glyphs_are_among_the_things_only_where_they_are_asked_for(of_16):
    assert not {t.name for one in of_16.descriptions for t in one.things} & set(GLYPHS)
    assert {t.name for one in scenes("32", glyphs=True).descriptions for t in one.things} == set(NAMES)


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("", "the caption is empty"),
        ("a purple seven", "'a purple seven' is no thing of a scene; say 'a', perhaps 'small' and one of red"),
        ("a red eleven", "is no thing of a scene"),
        ("a red seven beside a blue three", "is no thing of a scene"),
        ("a red seven above a blue three above a green two", "has more than one relation; join groups with ', and'"),
    ],
)
def test_words_that_are_not_understood(caption, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_caption(caption)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("16", {"split": "test"}, "split=test: scenes have the splits train, seen, held_out"),
        ("8", {"split": "held_out"}, "a grey scene's words are its digit"),
        ("16", {"count": 0}, "choose 1 to 4 things"),
    ],
)
def test_scenes_that_there_are_not(kind, options, message):
    with pytest.raises(DataError, match=message):
        scenes(kind, **{"count": 4, **options})


def test_capitals_spaces_and_colours_that_are_not_said():
    assert str(read_caption("  A Small  RED letter a ")) == "a small red letter A"
    assert str(read_caption("eight left of star and zero")) == "an eight left of a star, and a zero"


class TestText:
    def test_null_instead_and_join(self):
        text = Text.of_captions(["a red seven", "é"])
        assert text.texts() == ["a red seven", "é"]
        assert text.null().texts() == ["", ""]
        assert text.drop(torch.tensor([False, True])).texts() == ["a red seven", ""]
        assert text.instead("a longer text than any other").texts() == ["a longer text than any other"] * 2
        assert Text.of_captions(["a"]).join([text]).texts() == ["a", "a red seven", "é"]
        assert Text.of_captions(["", ""]).texts() == ["", ""]

    def test_what_is_no_text(self):
        with pytest.raises(ValueError, match="7 is no text"):
            Text.of_captions(["a"]).instead(7)
        with pytest.raises(ValueError, match="holds a zero character"):
            Text.of_captions(["a\0b"])
