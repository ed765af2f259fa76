"""What a scene shows, and how it is said: things, colours and relations in a small language that is written and read without loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GLYPHS = ("letter A", "letter B", "letter C", "triangle", "square", "star")
NAMES = DIGITS + GLYPHS
"""What can be seen; the place of a name here, plus one, is its class in a map, where 0 is background."""

COLOURS = ("red", "green", "blue", "yellow")


class Relation(Enum):
    """Where one thing lies, seen from another."""

    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    ABOVE = "above"
    BELOW = "below"

    @property
    def turned(self) -> Relation:
        """That of the other to the first."""
        axis, sign = _WAYS[self]
        return next(one for one, way in _WAYS.items() if way == (axis, -sign))

    def way(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[Any, Any]:
        """How far it is from one centre to the other along the relation's axis, positive where it holds, and across it.

        Args:
            first: [..., 2], row and column.
            second: [..., 2].
        """
        axis, sign = _WAYS[self]
        step = second - first
        return sign * step[..., axis], step[..., 1 - axis]

    def holds(self, first: Sequence[float], second: Sequence[float]) -> bool:
        """Whether it does between two centres (row, column): the way from one to the other goes rather along its axis than across it."""
        along, across = self.way(np.asarray(first), np.asarray(second))
        return bool(along > abs(across))


_WAYS = {Relation.LEFT_OF: (1, 1), Relation.RIGHT_OF: (1, -1), Relation.ABOVE: (0, 1), Relation.BELOW: (0, -1)}
"""The axis of each, 0 down and 1 to the right, and the sign of the way along it."""


@dataclass(frozen=True)
class Thing:
    """One thing of a scene.

    Attributes:
        name: Of `NAMES`.
        colour: Of `COLOURS`; None where it is not said, as in grey scenes.
        is_small: Whether it is half as large as others.
    """

    name: str
    colour: str | None = None
    is_small: bool = False

    @property
    def number(self) -> int:
        """Its class in a map, from 1 on."""
        return NAMES.index(self.name) + 1

    def __str__(self) -> str:
        words = " ".join([*(["small"] if self.is_small else []), *([self.colour] if self.colour else []), self.name])
        return f"{'an' if words.startswith('eight') else 'a'} {words}"


@dataclass(frozen=True)
class Group:
    """One thing, or two and where the first lies, seen from the second.

    Attributes:
        things: One or two.
        relation: None for one.
    """

    things: tuple[Thing, ...]
    relation: Relation | None = None

    def __str__(self) -> str:
        if self.relation is None:
            return str(self.things[0])
        return f"{self.things[0]} {self.relation.value} {self.things[1]}"

    @property
    def turned(self) -> Group:
        """The same, said from the other's side."""
        return self if self.relation is None else Group(self.things[::-1], self.relation.turned)


@dataclass(frozen=True)
class Description:
    """What a caption says: "a red seven left of a small blue three, and a green two".

    Attributes:
        groups: In the order in which they are said.
    """

    groups: tuple[Group, ...]

    @property
    def things(self) -> tuple[Thing, ...]:
        return tuple(thing for group in self.groups for thing in group.things)

    def __str__(self) -> str:
        return ", and ".join(map(str, self.groups))

    @property
    def is_held_out(self) -> bool:
        """Whether it has a pair that no training caption has: of colour and digit, or of digit and relation.

        Digit d has one colour that is kept from training in every tenth pair, (d, colour number c) with d + 3 c divisible by 10, and so
        has it with relations, as the first that is named and as the second: 4 of 40 pairs each.
        """
        return any(_is_kept(thing) for thing in self.things) or any(
            _is_rare(thing, relation)
            for group in self.groups
            for thing, relation in zip(group.things, _relations(group), strict=False)
        )


def _relations(group: Group) -> tuple[Relation, ...]:
    return () if group.relation is None else (group.relation, group.relation.turned)


def _is_kept(thing: Thing) -> bool:
    if thing.colour is None or thing.name not in DIGITS:
        return False
    return (DIGITS.index(thing.name) + 3 * COLOURS.index(thing.colour)) % 10 == 0


def _is_rare(thing: Thing, relation: Relation) -> bool:
    return thing.name in DIGITS and (DIGITS.index(thing.name) + 3 * list(Relation).index(relation) + 5) % 10 == 0


_RELATION = re.compile(r" (left of|right of|above|below) ")


def read_caption(caption: str) -> Description:
    """The description that a caption is.

    Args:
        caption: As `str(Description)` writes it; a colour may be left out, spaces and capitals of words do not matter.

    Raises:
        ValueError: It has words that the language has not, or not in this order.
    """
    text = " ".join(caption.split()).lower()
    if not text:
        raise ValueError("the caption is empty; say what is to be seen, as 'a red seven'")
    groups = []
    for part in re.split(r",? and ", text):
        words = _RELATION.split(part)
        if len(words) not in (1, 3):
            raise ValueError(f"{caption!r}: {part!r} has more than one relation; join groups with ', and'")
        things = tuple(_read_thing(one, caption) for one in words[::2])
        groups.append(Group(things, Relation(words[1]) if len(words) == 3 else None))
    return Description(tuple(groups))


_LOWER = {name.lower(): name for name in NAMES}


def _read_thing(text: str, caption: str) -> Thing:
    words = text.split()
    if words and words[0] in ("a", "an"):
        words = words[1:]
    small, colour = False, None
    while words and (words[0] == "small" or words[0] in COLOURS):
        if words[0] == "small":
            small = True
        else:
            colour = words[0]
        words = words[1:]
    name = " ".join(words)
    if name not in _LOWER:
        known = ", ".join(NAMES)
        raise ValueError(
            f"{caption!r}: {text!r} is no thing of a scene; say 'a', perhaps 'small' and one of {', '.join(COLOURS)}, then one of {known}"
        )
    return Thing(_LOWER[name], colour, small)
