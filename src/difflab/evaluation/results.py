"""The numbers of an evaluation and their protocols, as results.json holds them and as a table shows them.

Numbers of earlier versions were written without their `MetricInfo`. The protocol of such a number names metric and extractor. Each metric
that comes with difflab is asked whether it gives exactly this name for this extractor, and its declaration then holds. A number that none
of them gives is of another package: nobody guesses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import isabstract
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from difflab.formatting import aligned
from difflab.metrics.protocol import HeldOut, MetricInfo, Protocol, at_count, counted
from difflab.reading import FileError, parse_json, shown
from difflab.reading.json import dumps, fields, in_words, restored
from difflab.runtime.invocation import program


def recognised(metric: str, protocol: Protocol) -> MetricInfo | None:
    """The declaration of a number that difflab itself has measured; None for any other."""
    from difflab import metrics
    from difflab.evaluation.bits_per_dim import BitsPerDim

    public = [getattr(metrics, name) for name in metrics.__all__]
    parts = [
        one for one in public if isinstance(one, type) and issubclass(one, metrics.FeatureMetric | metrics.PairMetric)
    ]
    for part in (*(one for one in parts if not isabstract(one)), BitsPerDim, HeldOut):
        if (info := part.declared(metric, protocol.fields)) is not None:
            return info
    return None


@dataclass(frozen=True)
class Measurement:
    """A number.

    Attributes:
        metric: Its name: fid, is, precision_digits ...
        value: NaN where there is none.
        samples: N; 0 where the number has none.
        protocol: What defines the number.
        std_error: Of sampling: over other samples of the same size from the same model; None where it was not estimated.
        replicates: From which std_error was estimated.
        info: What kind of number it is; None for one that another program or version wrote without it.
        why: The reason why there is no value.
    """

    metric: str
    value: float
    samples: int
    protocol: Protocol
    std_error: float | None = None
    replicates: int = 0
    info: MetricInfo | None = None
    why: str = ""

    @classmethod
    def of(
        cls,
        metric: str,
        value: float,
        samples: int,
        protocol: Protocol,
        info: MetricInfo,
        std_error: float | None = None,
        replicates: int = 0,
    ) -> Measurement:
        """As it is kept: without rounding across a bound, and with the reason in place of a value that cannot be."""
        value, why = info.checked(float(value))
        if std_error is None or why or not math.isfinite(std_error):
            std_error, replicates = None, 0
        return cls(metric, value, samples, protocol, std_error, replicates, info, why)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """value -/+ t std_error, Student's quantile with replicates - 1 degrees of freedom; cut where no value of the metric can lie."""
        if self.std_error is None or self.replicates < 2:
            return None
        reach = float(student.ppf(0.5 + confidence / 2, self.replicates - 1)) * self.std_error
        low, high = (-math.inf, math.inf) if self.info is None else self.info.bounds
        return max(low, self.value - reach), min(high, self.value + reach)

    @property
    def name(self) -> str:
        """The metric and the number of images, as tables have it: fid@10000."""
        return at_count(self.metric, self.samples) if self.samples else self.metric

    @property
    def interval_text(self) -> str:
        """The interval as tables have it; empty where there is none."""
        interval = self.interval()
        return "" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}"

    @property
    def direction(self) -> str:
        """Which way is better: lower, higher, or nothing where that is not known."""
        return "" if self.info is None else self.info.direction


def is_higher_better(measurement: Measurement) -> bool:
    """What its metric declares; a ValueError if it declares nothing, or that the number is neither good nor bad."""
    if measurement.info is None or measurement.info.higher_is_better is None:
        reason = "was not said" if measurement.info is None else "is neither"
        raise ValueError(f"which way {measurement.metric} is better {reason}: nothing can be chosen by it")
    return measurement.info.higher_is_better


def label(measurement: Measurement) -> str:
    """What a number is called for people, with the number of images: FID (50k), FD (digits, 2k).

    Numbers of earlier versions, which were kept without a label, have that of difflab's metric; a foreign one has its key.
    """
    known = measurement.info
    if known is None or not known.label:
        known = recognised(measurement.metric, measurement.protocol)
    return counted(measurement.metric if known is None or not known.label else known.label, measurement.samples)


def declared(measurement: Measurement, stated: MetricInfo | None, where: str, study: bool = False) -> Measurement:
    """With what a person states of a number that says nothing of itself.

    Args:
        measurement: As it was read.
        stated: What kind of number it is, by a person's word; None where there is none.
        where: Of the number, for errors: its file.
        study: Whether it is stated in a study's file, and else by a command's `info`.

    Raises:
        ValueError: If nobody says which way is better, or the two say different ways.
    """
    metric, info = measurement.metric, measurement.info or stated
    if info is None:
        remedy = f"{{{metric}: {{higher_is_better: true}}}}"
        remedy = f"in the study's evaluation, info: {remedy}" if study else f"by 'info={remedy}'"
        raise ValueError(
            f"{where} does not say whether a higher {metric} is better, and it is no metric of difflab. State it {remedy}"
        )
    if stated is not None and stated.higher_is_better is not info.higher_is_better:
        ways = [one.direction or "neither" for one in (info, stated)]
        raise ValueError(f"{where} says that the better {metric} is {ways[0]}, and `info` that it is {ways[1]}")
    return replace(measurement, info=info)


@dataclass(frozen=True)
class Results:
    """All numbers of one set of samples.

    Attributes:
        measurements: The numbers.
        subject: What was measured and is no part of the protocol: run, step, seed, weights' hash, files.
    """

    measurements: list[Measurement]
    subject: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Measurement:
        """The only one of this name. A KeyError if there is none, or if it was measured under several protocols."""
        found = [measurement for measurement in self.measurements if measurement.metric == metric]
        if len(found) > 1:
            raise KeyError(f"{metric} was measured under {len(found)} protocols: choose among `measurements`")
        if not found:
            raise KeyError(f"no {metric} among {', '.join(m.metric for m in self.measurements) or 'no results'}")
        return found[0]

    def to_json(self) -> str:
        rows = [
            {
                "metric": m.metric,
                **_kept(m),
                "samples": m.samples,
                "protocol": in_words(m.protocol.fields),
                "std_error": m.std_error,
                "replicates": m.replicates,
                "info": None if m.info is None else m.info.to_json(),
                "interval_95": m.interval(),
                "fingerprint": m.protocol.fingerprint,
            }
            for m in self.measurements
        ]
        return dumps({"subject": self.subject, "measurements": rows}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: str | Path = "results") -> Results:
        """ValueError if the text is no results file, or if a protocol was changed by hand."""
        try:
            content = fields(parse_json(text, where), where, {"measurements": list, "subject": dict})
            return cls([_measurement(row, where) for row in content["measurements"]], content["subject"])
        except FileError as error:
            raise ValueError(
                f"{where} is no file of results, as {program('evaluate')} writes them ({error})"
            ) from error


INTERVAL = (
    "95 % interval: of this number's expectation over other samples of as many images from the same weights, the reference being fixed; "
    "not of its limit for infinitely many images, and not over training seeds"
)


def results_table(results: Results, title: str) -> str:
    """A line per number: value, interval, and the fingerprint of how it was measured. Below, what the intervals are of.

    Args:
        results: The numbers.
        title: First line.
    """
    rows = [("metric", "value", "95 % interval", "better", "protocol")]
    for m in results.measurements:
        rows.append((m.name, f"{m.value:.4g}", m.interval_text, m.direction, m.protocol.fingerprint))
    notes = [f"{m.name}: no number, since {m.why}" for m in results.measurements if m.why]
    if any(m.interval() for m in results.measurements):
        notes.append(INTERVAL)
    return "\n".join([title, aligned(rows), *notes])


def _kept(measurement: Measurement) -> dict[str, Any]:
    """The value, or null and why there is none."""
    value, why = measurement.value, measurement.why
    if not why and math.isfinite(value):
        return {"value": value}
    return {"value": None, "why": why or f"the metric gave {value}"}


def _measurement(row: Mapping[str, Any], where: str | Path) -> Measurement:
    fields(row, f"{where}: a measurement", _KINDS)
    for name, value in row["protocol"].items():
        if not isinstance(value, str | int | float | None):
            raise FileError(
                f"{where}: the protocol of {shown(row['metric'])} has {shown(name)} = {shown(value)}, which is no plain value."
            )
    protocol = Protocol(restored(row["protocol"]))
    if protocol.fingerprint != row["fingerprint"]:
        raise ValueError(
            f"{where}: the protocol of {shown(row['metric'])} does not have the fingerprint {shown(row['fingerprint'])}: "
            "it was changed by hand"
        )
    metric, node = row["metric"], row.get("info")
    info = recognised(metric, protocol) if node is None else MetricInfo.read(node, f"{where}: info of {metric}")
    value, why = _value(row, info)
    return Measurement(metric, value, row["samples"], protocol, row["std_error"], row["replicates"], info=info, why=why)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "metric": str,
    "value": (float, type(None)),
    "samples": int,
    "protocol": dict,
    "std_error": (float, type(None)),
    "replicates": int,
    "fingerprint": str,
}
"""Of a row. What later versions added may be missing."""


def _value(row: Mapping[str, Any], info: MetricInfo | None) -> tuple[Any, str]:
    """As `Measurement.of` would keep it. Earlier versions wrote NaN, and distances that rounding had carried below 0."""
    value = row["value"]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return math.nan, str(row.get("why") or f"{value} was written in its place")
    if info is not None and isinstance(value, int | float) and not (checked := info.checked(value))[1]:
        value = checked[0]
    return value, ""
