"""Words of a command whose values Hydra's grammar has no letters for: run.root=/home/Jürgen/runs, checkpoint=runs/a(1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from difflab.cli.places import config_files

_ONE_TEXT = re.compile(r"(?P<key>[^=]+)=(?P<text>[^\[\]{},\"'=]+)")
"""key=value whose value is neither a list, a dictionary nor a sweep."""

_STRANGE = re.compile(r"[^ -~]|/.*[()!&;#^<>`~]|[()!&;#^<>`~].*/", re.DOTALL)
"""A letter that is not ASCII, or a path with a sign that means something to Hydra, or nothing."""


_NOTHING = re.compile(r"(?P<group>\+?[\w/]+)=\[ *\]")
"""group=[]: nothing of a group is chosen, which Hydra takes out of the configuration."""


_GIVEN = re.compile(r"\+*init_from=(?P<value>.+)")
"""Weights to start from, of which there is one kind with a name of its own: init_from=RUN."""


def readable(words: Sequence[str]) -> list[str]:
    """The words with such values in quotes, group=none for group=[], and init_from=weights init_from.checkpoint=RUN for init_from=RUN.
    What Hydra can read, and what is wrong in another way, stays.

    A choice of `debug` goes last: the experiment would undo it otherwise.
    """
    written = [_readable(one) for word in words for one in _written_out(word)]
    return sorted(written, key=lambda word: word.lstrip("+").startswith("debug="))


def _written_out(word: str) -> list[str]:
    match = _GIVEN.fullmatch(word)
    if match is None or match["value"] == "[]" or match["value"] in config_files("init_from"):
        return [word]
    return ["init_from=weights", f"init_from.checkpoint={match['value']}"]


def quoted(text: str) -> str:
    """As Hydra reads it back: a backslash counts as one unless it stands before a quote."""
    return '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text) + '"'


def _readable(word: str) -> str:
    nothing = _NOTHING.fullmatch(word)
    if nothing is not None and config_files(nothing["group"].lstrip("+"), "none.yaml"):
        return f"{nothing['group']}=none"
    match = _ONE_TEXT.fullmatch(word)
    if match is None or not _STRANGE.search(match["text"]) or _is_read(word):
        return word
    again = f"{match['key']}={quoted(match['text'])}"
    return again if _is_read(again) else word


def _is_read(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True
