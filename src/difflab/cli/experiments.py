"""The choices of a group with a line on each: +experiment=list."""

from __future__ import annotations

from collections.abc import Sequence

from difflab.cli.places import config_files


def listed_group(words: Sequence[str]) -> str | None:
    """The group whose choices a command asks for, by +experiment=list or data=list; None if it asks for none."""
    for word in words:
        group, equals, value = word.lstrip("+").partition("=")
        if equals and value in ("list", "") and value not in (choices := config_files(group)) and choices:
            return group
    return None


def listing(group: str = "experiment") -> str:
    """Every choice of a group with the first line of its header."""
    rows = []
    for name, path in config_files(group).items():
        comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        described = [line for line in comments if not line.startswith(("@package", "alias:"))]
        rows.append((name, described[0] if described else ""))
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:{width}}  {what}".rstrip() for name, what in rows)
