"""What two rows differ in: what they declare, what follows from it, and what nobody has said.

A table row is evidence for its label only if nothing else was changed. Improved DDPM's table 2 compares schedules, and dropout goes with
them, 0.1 and 0.3: that is a confound, and it is found here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difflab.config.resolved import ResolvedConfig, dotted, leaves
from difflab.runs.identity import WHERE_AND_HOW
from difflab.studies.spec import Row, StudyError
from difflab.suggest import near_name


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
"""The value of a key that a configuration does not have."""


@dataclass(frozen=True)
class ConfigDifference:
    """A key in which two configurations differ.

    Attributes:
        key: Dotted, as network.channel_mult[2].
        before: In the first configuration.
        after: In the second.
    """

    key: str
    before: Any
    after: Any

    @property
    def is_scalar(self) -> bool:
        return not any(isinstance(value, Mapping | list | _Absent) for value in (self.before, self.after))

    def __str__(self) -> str:
        return f"{self.key} ({in_brief(self.before)} -> {in_brief(self.after)})"


def in_brief(value: Any) -> str:
    """A value in few words, a part by its class."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        return f"{{{', '.join(map(str, value))}}}" if target is None else str(target).rpartition(".")[2]
    if isinstance(value, list):
        return f"[{', '.join(map(in_brief, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], ignored: Collection[str]
) -> list[ConfigDifference]:
    """All differences, in the order of the second configuration. A part that was swapped for another class differs as a whole.

    Args:
        ignored: Dotted keys of nodes that are passed over.
    """
    return _nodes(before, after, "", ignored)


def _nodes(before: Any, after: Any, path: str, ignored: Collection[str]) -> list[ConfigDifference]:
    if path in ignored:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping) and _class(before) == _class(after):
        keys = dict.fromkeys([*after, *before])
        pairs = [(f"{path}.{k}" if path else str(k), before.get(k, ABSENT), after.get(k, ABSENT)) for k in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(f"{path}[{i}]", *pair) for i, pair in enumerate(zip(before, after, strict=True))]
    elif _equal(before, after):
        return []
    else:
        return [ConfigDifference(path, before, after)]
    return [one for inner, b, a in pairs for one in _nodes(b, a, inner, ignored)]


def _class(node: Mapping[str, Any]) -> Any:
    return node.get("_target_")


def _equal(before: Any, after: Any) -> bool:
    """1 and 1.0 are the same to whoever computes with them; 1 and true are not."""
    return before == after and isinstance(before, bool) == isinstance(after, bool)


DRAW = "draw"
"""What keys of evaluate.py begin with where a row declares them."""

IGNORED = WHERE_AND_HOW | {"module"}
"""Nodes that change no result, and the wiring, which repeats the others."""


@dataclass(frozen=True)
class Changes:
    """The differences of a row from the one that it is compared with.

    Attributes:
        declared: Covered by the row's `change`.
        follows: Computed in both rows by the same reference, hence from something that is declared.
        confounds: The others.
    """

    declared: tuple[ConfigDifference, ...]
    follows: tuple[ConfigDifference, ...]
    confounds: tuple[ConfigDifference, ...]


def compare(
    config: ResolvedConfig,
    against: ResolvedConfig,
    change: Collection[str],
    draw: Sequence[str] = (),
    against_draw: Sequence[str] = (),
) -> Changes:
    """Sorts the differences of two rows.

    Args:
        change: Declared keys; each covers all that lies below it.
        draw: The rows' overrides of evaluate.py.
        against_draw: Likewise.
    """
    found = differences(against.config, config.config, IGNORED)
    found += differences(drawing(against_draw), drawing(draw), frozenset())
    declared, follows, confounds = [], [], []
    for one in found:
        if any(covers(key, one.key) for key in change):
            declared.append(one)
        elif _derived(one.key, config, against):
            follows.append(one)
        else:
            confounds.append(one)
    return Changes(tuple(declared), tuple(follows), tuple(confounds))


def check_row(
    row: Row, config: ResolvedConfig, against: Row, against_config: ResolvedConfig, matched: Collection[str] = ()
) -> Changes:
    """The comparison of a row with the one that it names in `against`.

    Args:
        row: The row.
        config: Its configuration.
        against: The one that it is compared with.
        against_config: That one's configuration.
        matched: Keys that `match` has set, which may differ as well.

    Raises:
        StudyError: It has confounds, or something declared is the same in both.
    """
    known = _known(config.config, against_config.config, drawing(row.draw), drawing(against.draw))
    for key in row.change:
        if key not in known:
            raise StudyError(f"row {row.name} declares {key}, but there is no such key{_near(key, known)}")
    found = compare(config, against_config, {*row.change, *matched}, row.draw, against.draw)
    if found.confounds:
        shown = "; ".join(map(str, found.confounds[:6])) + ("; ..." if len(found.confounds) > 6 else "")
        scalars = [one for one in found.confounds if one.is_scalar and "[" not in one.key]
        scalars = [one for one in scalars if not covers(DRAW, one.key)]  # the others are no overrides of train.py
        value = f"{scalars[0].key}={in_brief(scalars[0].before)}" if scalars else ""
        same = f", as overrides: [{_quoted(value)}] in row {row.name}" if scalars else ""
        keys = ", ".join(map(_quoted, [*row.change, *(one.key for one in found.confounds[:6])]))
        raise StudyError(
            f"row {row.name} differs from row {against.name} in what it does not declare: {shown} ({against.name} -> {row.name}). "
            f"Give both rows the same{same}, or declare it there: change: [{keys}]"
        )
    for key in row.change:
        if not any(covers(key, one.key) for one in found.declared):
            reason = _reason(key, against, known[key])
            raise StudyError(f"row {row.name} declares {key} but does not change it: {reason}")
    return found


def _quoted(text: str) -> str:
    """A text as it stands in a list of a study's file: YAML takes a bracket for the end of the list."""
    return f"'{text}'" if set("[]{},") & set(text) else text


def check_distinct(rows: Mapping[str, tuple[Row, ResolvedConfig]]) -> None:
    """A StudyError if two rows are the same run, drawn from in the same way."""
    seen: dict[str, str] = {}
    for name, (row, resolved) in rows.items():
        kept = {
            dotted(path): float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            for path, value in leaves(resolved.config).items()
            if not any(covers(key, dotted(path)) for key in IGNORED)
        }
        text = json.dumps([kept, drawing(row.draw)], sort_keys=True, default=str)
        if text in seen:
            raise StudyError(
                f"rows {seen[text]} and {name} are the same run, drawn from in the same way: leave one of them out, or give it the "
                "override that its label speaks of"
            )
        seen[text] = name


def changed_together(row: Row) -> tuple[str, ...]:
    """The declared keys of a row that changes several at once, none of which can be given the credit; empty where it is one alone.

    Keys below another one belong to it.
    """
    keys = dict.fromkeys(row.change)
    outermost = tuple(key for key in keys if not any(key != other and covers(other, key) for other in keys))
    return outermost if len(outermost) > 1 else ()


def drawing(overrides: Sequence[str]) -> dict[str, Any]:
    """Overrides of evaluate.py as a configuration; the last one of a key counts.

    (steps=25, sampler.eta=1) -> {draw: {steps: 25, sampler.eta: 1}}.
    """
    values = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        values[key.lstrip("+~").strip().replace("/", ".")] = value.strip() if equals else "left out"
    return {DRAW: values}


def covers(declared: str, key: str) -> bool:
    return key == declared or key.startswith((f"{declared}.", f"{declared}["))


def _derived(key: str, config: ResolvedConfig, against: ResolvedConfig) -> bool:
    """Whether the value, or something that holds it, is computed in both by the same reference."""
    return any(covers(at, key) and against.derived.get(at) == raw for at, raw in config.derived.items())


def _known(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """All dotted keys, those of leaves with their values."""
    known: dict[str, Any] = {}
    for tree in trees:
        for path, value in leaves(tree).items():
            known |= {dotted(path[:length]): ABSENT for length in range(1, len(path))} | {dotted(path): value}
    return known


def _near(key: str, known: Collection[str]) -> str:
    """The key that was perhaps meant: one that ends alike, or is spelt alike."""
    ends = [one for one in known if one.endswith(f".{key.rpartition('.')[2]}") and not one.startswith("module.")]
    near = ends[0] if ends else near_name(key, known)
    return f"; did you mean {near}?" if near else ""


def _reason(key: str, against: Row, value: Any) -> str:
    """Why a declared key changes nothing."""
    if any(covers(ignored, key) for ignored in WHERE_AND_HOW):
        return "it says where and how a run is executed, and not what comes out of it"
    if any(covers(ignored, key) for ignored in IGNORED):
        return "it repeats other keys; name these"
    shown = "" if value is ABSENT else f", {in_brief(value)}"
    return f"it is as in row {against.name}{shown}. Add the override that changes it, or take it out of `change`"
