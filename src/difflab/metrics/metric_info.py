"""What a number is: its name, direction, bounds and unit, also of numbers that difflab did not make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difflab.metrics.protocol import Value

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
