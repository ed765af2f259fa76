"""What a number is a measurement of: the fields that define it, their fingerprint, and the refusal to compare what is not comparable.

A field is anything whose change can change the number: the extractor and its weights' hash, resize and dtype, N, the reference's
hash, the sampler and its steps, guidance, EMA track, seeds, the metric's own settings. The model that is measured, and where and how the
measurement was computed (processes, batch size, device), are no fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from typing import Protocol as Interface

from difflab.runtime.foreign_code import code_of_class

Value = str | int | float | bool | None

NOT_STATED = "not stated"
"""Stands for a field that the other side does not have."""


class Difference(NamedTuple):
    """A field in which two protocols differ."""

    field: str
    first: Value
    second: Value

    def __str__(self) -> str:
        return f"{self.field} ({self.first} against {self.second})"


class ProtocolMismatch(ValueError):
    """Two numbers that were measured differently; `differences` names the fields."""

    def __init__(self, differences: list[Difference]):
        self.differences = differences
        fields = ", ".join(difference.field for difference in differences)
        super().__init__(
            f"these numbers were measured differently: {'; '.join(map(str, differences))}. "
            f"Measure them alike, or accept each difference by name: waive=[{fields}]"
        )


@dataclass(frozen=True)
class Protocol:
    """fields   dotted name -> plain value"""

    fields: Mapping[str, Value]

    @classmethod
    def of(cls, nested: Mapping[str, Any]) -> Protocol:
        """From nested mappings and lists: {"sampler": {"steps": 25}} is the field sampler.steps."""
        return cls(dict(sorted(_flat(nested, ""))))

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that change with any field."""
        text = json.dumps(dict(sorted(self.fields.items())), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def without(self, *prefixes: str) -> Protocol:
        """The protocol less the fields of these names, or below them."""
        return Protocol({name: value for name, value in self.fields.items() if not is_covered(name, prefixes)})

    def stages(self) -> list[Protocol]:
        """Of images that a cascade has drawn the fields of each stage, which stand below stages.<number>; of others none."""
        found: dict[int, dict[str, Value]] = {}
        for name, value in self.fields.items():
            if name.startswith("stages."):
                _, number, field = name.split(".", 2)
                found.setdefault(int(number), {})[field] = value
        return [Protocol(found[number]) for number in sorted(found)]

    def differences(self, other: Protocol) -> list[Difference]:
        names = sorted({*self.fields, *other.fields})
        pairs = ((n, self.fields.get(n, NOT_STATED), other.fields.get(n, NOT_STATED)) for n in names)
        # 2 and 2.0 are the same number, as their JSON is not
        return [Difference(name, mine, theirs) for name, mine, theirs in pairs if mine != theirs]


def check_comparable(first: Protocol, second: Protocol, waived: Collection[str] = ()) -> list[Difference]:
    """The differences that were waived, by field or by its beginning (sampler waives sampler.steps too).

    ProtocolMismatch if there are others.
    """
    differences = first.differences(second)
    if refused := [d for d in differences if not is_covered(d.field, waived)]:
        raise ProtocolMismatch(refused)
    return differences


def is_covered(name: str, prefixes: Collection[str]) -> bool:
    """Whether a field is one of the named ones, or lies below one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _flat(node: Any, path: str) -> list[tuple[str, Value]]:
    if isinstance(node, Mapping):
        items = [(f"{path}.{key}" if path else str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple):
        items = [(f"{path}.{i}", value) for i, value in enumerate(node)]
    elif node is None or isinstance(node, str | int | float | bool):
        return [(path, node)]
    else:
        raise TypeError(f"{path} = {node!r} cannot be a field of a protocol: give a number, a string or nothing")
    return [leaf for inner, value in items for leaf in _flat(value, inner)]


class Measures(Interface):
    """A metric of either kind."""

    def protocol(self) -> dict[str, Any]:
        """The settings of its own that define its numbers."""
        ...


def metric_fields(name: str, metric: Measures) -> dict[str, Any]:
    """What of a number's protocol the metric is: its name, its settings, and its code where that is the user's own.

    Args:
        name: Of the number.
        metric: That gives it.
    """
    code = code_of_class(type(metric))
    return {"name": name, **metric.protocol(), **({"code": code} if code else {})}
