"""A training that the rows of a study have in common: their trunk, from which each goes on by itself.

fork:
from: adagn     # a row, or an experiment, whose first steps these are
at: 20000       # the step at which the rows go on
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from difflab.studies.nodes import StudyError, mapping

TRUNK = "trunk"
"""Name under which the runs of the trunk lie, where a row's would: <run.root>/<study>/trunk."""


@dataclass(frozen=True)
class Fork:
    """Where the rows leave their trunk.

    Attributes:
        source: The row or the experiment whose first steps the trunk trains.
        at: The step at which the rows go on from its state, each seed from that of the same seed.
    """

    source: str
    at: int


def read_fork(node: Any, rows: Collection[str], where: str) -> Fork:
    """A study's `fork`.

    Args:
        node: As it stands in the file.
        rows: Names of the rows, of which none may be called as the trunk is.
        where: Named in errors.
    """
    node = mapping(node, f"{where}: fork", ("from", "at"))
    for key in ("from", "at"):
        if key not in node:
            raise StudyError(
                f"{where}: fork lacks {key!r}: name the row or experiment of its trunk, and the step, as {{from: base, at: 1000}}"
            )
    if type(node["at"]) is not int or node["at"] < 1:
        raise StudyError(f"{where}: fork.at = {node['at']!r}: expected the step at which the rows go on, at least 1")
    if TRUNK in rows:
        raise StudyError(f"{where}: row {TRUNK}: the fork's own runs are called so; give the row another name")
    return Fork(str(node["from"]), node["at"])
