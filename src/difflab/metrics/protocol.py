"""What a number is, and how it was measured: its kind, the fields that define it, and whether two may be compared.

A field is anything whose change can change the number: the extractor and its weights' hash, resize and dtype, N, the reference's
hash, the sampler and its steps, guidance, EMA track, seeds, the metric's own settings. The model that is measured, and where and how the
measurement was computed (processes, batch size, device), are no fields.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
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
    """How a number was measured.

    Attributes:
        fields: Dotted name -> plain value.
    """

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


ROUNDING = 1e-6
"""How far, relative to a bound or to 1, a value may lie beyond it by rounding."""

KEYS = ("higher_is_better", "bounds", "unit", "ratio", "label")


@dataclass(frozen=True)
class MetricInfo:
    """Facts about a number, declared by the metric that makes it. They are never derived from its name or from data.

    Attributes:
        higher_is_better: None where the number is neither good nor bad, as a deviation over parts.
        bounds: The lowest and the highest value that it can have.
        unit: For people, as "dB" or "bits/dim"; empty for a pure number.
        ratio: Whether two values are compared on logarithms and reported as a ratio ("8 % lower"): for positive, unbounded
            metrics whose spread over seeds grows with their level, as Frechet distances. Only with bounds (0, inf).
        label: For people, as "FID" or "FD (digits)"; empty: the number has no name but its key. Plays no part in what it is.
    """

    higher_is_better: bool | None
    bounds: tuple[float, float] = (0.0, math.inf)
    unit: str = ""
    ratio: bool = False
    label: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"bounds = {self.bounds}: the lowest value comes first, and is below the highest")
        if self.ratio and (low, high) != (0.0, math.inf):
            raise ValueError(f"a ratio needs bounds of 0 and infinity, these are {self.bounds}")

    def checked(self, value: float) -> tuple[float, str]:
        """A value as it is kept, and why there is none.

        Returns:
            The value, moved onto a bound that rounding has carried it across; or NaN with the reason, where it is no finite number
            or lies outside of the bounds.
        """
        if not math.isfinite(value):
            return math.nan, f"the metric gave {value}"
        low, high = self.bounds
        inside = min(max(value, low), high)
        if abs(value - inside) > ROUNDING * max(1.0, abs(inside)):
            return math.nan, f"the metric gave {value:g}, outside of its bounds {low:g} .. {high:g}"
        return inside, ""

    @property
    def direction(self) -> str:
        """higher, lower, or nothing."""
        return {True: "higher", False: "lower", None: ""}[self.higher_is_better]

    def to_json(self) -> dict[str, Any]:
        """Plain values; an open bound is null, since JSON has no infinity."""
        bounds = [bound if math.isfinite(bound) else None for bound in self.bounds]
        return {
            "higher_is_better": self.higher_is_better,
            "bounds": bounds,
            "unit": self.unit,
            "ratio": self.ratio,
            **({"label": self.label} if self.label else {}),
        }

    @classmethod
    def read(cls, node: Any, where: str) -> MetricInfo:
        """From plain values, as `to_json` gives them or a person states them.

        Args:
            node: `higher_is_better` at least. Bounds that are not given are open.
            where: Is named in errors.

        Raises:
            ValueError: If the node is no such mapping.
        """
        if not isinstance(node, Mapping) or "higher_is_better" not in node or set(node) - set(KEYS):
            raise ValueError(
                f"{where} = {node!r}: expected {{higher_is_better: true}}, and if known {', '.join(KEYS[1:])}"
            )
        higher, unit, ratio = node["higher_is_better"], node.get("unit", ""), node.get("ratio", False)
        label = node.get("label", "")
        if not (higher is None or isinstance(higher, bool)):
            raise ValueError(f"{where}.higher_is_better = {higher!r}: expected true, false, or null for neither")
        if not isinstance(unit, str) or not isinstance(ratio, bool) or not isinstance(label, str):
            raise ValueError(
                f"{where}: unit and label are texts and ratio true or false, not {unit!r}, {label!r} and {ratio!r}"
            )
        bounds = node.get("bounds", [None, None])
        if (
            not isinstance(bounds, list | tuple)
            or len(bounds) != 2
            or not all(b is None or isinstance(b, int | float) for b in bounds)
        ):
            raise ValueError(f"{where}.bounds = {bounds!r}: expected the lowest and the highest value, null where open")
        low, high = (
            open_end if b is None else float(b) for b, open_end in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        if ratio and bounds[0] is None:
            low = 0.0
        try:
            return cls(higher, (low, high), unit, ratio, label)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def counted(label: str, samples: int) -> str:
    """A metric's label with the number of images behind it, as numbers of different N are different metrics.

    Args:
        label: For people: FID, FD (digits).
        samples: N; 0 where the number has none.

    Returns:
        FID (50k), FD (digits, 2k), with three significant figures of N.
    """
    if not samples:
        return label
    count = f"{samples / 1000:.3g}k" if samples >= 1000 else str(samples)
    return f"{label[:-1]}, {count})" if label.endswith(")") else f"{label} ({count})"


def at_count(name: str, num_images: int) -> str:
    """fid@50k, fid@512, fid@1.5k: numbers of different N are different metrics."""
    exact_in_k = num_images >= 1000 and num_images % 100 == 0
    return f"{name}@{num_images / 1000:g}k" if exact_in_k else f"{name}@{num_images}"


QUARTERS = 4


class HeldOut:
    """Cross-entropy, and the shares of images whose class is among the one or five likeliest."""

    terms: Mapping[str, MetricInfo] = {
        "loss": MetricInfo(higher_is_better=False, unit="nats", label="held-out loss"),
        "top1": MetricInfo(higher_is_better=True, bounds=(0.0, 1.0), label="top-1 accuracy"),
        "top5": MetricInfo(higher_is_better=True, bounds=(0.0, 1.0), label="top-5 accuracy"),
    }

    @classmethod
    def info(cls) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is."""
        parts = {"": "", **{f"_q{quarter}": f", quarter {quarter} of time" for quarter in range(1, QUARTERS + 1)}}
        return {
            f"{term}{part}": replace(info, label=f"{info.label}{words}")
            for term, info in cls.terms.items()
            for part, words in parts.items()
        }

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """Its protocol names no extractor and no sampler: nothing is drawn."""
        drawn = any(field.startswith(("extractor.", "sampler.")) for field in fields)
        return None if drawn else cls.info().get(name)
