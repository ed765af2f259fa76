"""What two resolved configurations differ in, told by the shortest path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
"""The value of a key that a configuration does not have."""


@dataclass(frozen=True)
class Difference:
    """key    dotted, as network.channel_mult[2]
    before    in the first configuration
    after     in the second
    """

    key: str
    before: Any
    after: Any

    @property
    def is_scalar(self) -> bool:
        return not any(isinstance(value, Mapping | list | _Absent) for value in (self.before, self.after))

    def __str__(self) -> str:
        return f"{self.key} ({told(self.before)} -> {told(self.after)})"


def told(value: Any) -> str:
    """A value in few words, a part by its class."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        return f"{{{', '.join(map(str, value))}}}" if target is None else str(target).rpartition(".")[2]
    if isinstance(value, list):
        return f"[{', '.join(map(told, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def differences(before: Mapping[str, Any], after: Mapping[str, Any], ignored: Collection[str]) -> list[Difference]:
    """All differences, in the order of the second configuration. A part that was swapped for another class differs as a whole.

    ignored   dotted keys of nodes that are passed over
    """
    return _nodes(before, after, "", ignored)


def _nodes(before: Any, after: Any, path: str, ignored: Collection[str]) -> list[Difference]:
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
        return [Difference(path, before, after)]
    return [one for inner, b, a in pairs for one in _nodes(b, a, inner, ignored)]


def _class(node: Mapping[str, Any]) -> Any:
    return node.get("_target_")


def _equal(before: Any, after: Any) -> bool:
    """1 and 1.0 are the same to whoever computes with them; 1 and true are not."""
    return before == after and isinstance(before, bool) == isinstance(after, bool)
