"""What was perhaps meant by a name that there is not: near names, and how an error offers them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_name(name: str, names: Iterable[object], cutoff: float = 0.6) -> str | None:
    """The name that was perhaps meant: among the nearest ones one of the same letters, as npz is for nzp.

    Args:
        name: As it was given.
        names: Those that there are.
        cutoff: The least likeness, from 0 to 1.

    Returns:
        The name; None where none is near.
    """
    near = difflib.get_close_matches(name, [str(one) for one in names], n=3, cutoff=cutoff)
    return max(near, key=lambda candidate: sorted(candidate) == sorted(name), default=None)


def suggestion(name: str, names: Iterable[object]) -> str:
    """What an error says after a name that there is not: the near one, else all.

    Args:
        name: As it was given.
        names: Those that there are, in the order in which they are told.
    """
    known = list(dict.fromkeys(map(str, names)))
    near = near_name(name, known)
    return f"did you mean {near!r}?" if near else f"there are {', '.join(known) or 'none'}"
