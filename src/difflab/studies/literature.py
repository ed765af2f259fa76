"""What is said elsewhere of a row, to be put beside what its runs show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from difflab.studies.nodes import StudyError, mapping
from difflab.suggest import suggestion

DIRECTIONS = ("better", "worse", "equivalent")


@dataclass(frozen=True)
class Literature:
    """A claim of others about a row.

    Attributes:
        finds: Better, worse or equivalent: how the row does against the row that it is compared with.
        says: The finding in a few words, with numbers where there are some.
        source: Where that stands.
    """

    finds: str
    says: str
    source: str


def read_literature(node: Any, where: str) -> Literature:
    """The claim; a StudyError says what it lacks."""
    node = mapping(node, where, ("finds", "says", "source"))
    for key in ("finds", "says", "source"):
        if not isinstance(node.get(key), str) or not node[key].strip():
            raise StudyError(f"{where} lacks {key!r}: give {{finds: {' | '.join(DIRECTIONS)}, says: ..., source: ...}}")
    if node["finds"] not in DIRECTIONS:
        raise StudyError(f"{where}.finds = {node['finds']}: {suggestion(node['finds'], DIRECTIONS)}")
    return Literature(node["finds"], " ".join(node["says"].split()), " ".join(node["source"].split()))
