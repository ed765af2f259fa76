"""Numbers for a person: with intervals, with their fingerprints, side by side.

How much of the scatter between training seeds is training, and how much is the finite number of samples.

Value y_r of training seed r was measured with standard error e_r, so

    y_r = mu + a_r + s_r        Var a = training        Var s_r = e_r^2
    E s^2 = training + mean e_r^2        training = max(0, s^2 - mean e_r^2)        (method of moments; s^2 with R - 1)

The mean over the seeds has the standard error s / sqrt(R), which holds both parts. More samples shrink `sampling` alone, more seeds
shrink both. Seeds that are sampled from one noise bank may share a part of s_r, which is then in the mean and not in s^2: `training`
comes out too small and the interval is that of this bank. For the split itself, draw each seed's samples from noise of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from difflab.evaluation.results import INTERVAL, Measurement, Results, declared
from difflab.formatting import aligned
from difflab.metrics import Difference, MetricInfo, ProtocolMismatch, check_comparable
from difflab.metrics.protocol import is_covered
from difflab.reading import read_text


@dataclass(frozen=True)
class VarianceComponents:
    """mean over the seeds; variances of one seed's value by training and by sampling; number of seeds.

    Attributes:
        total: s^2 [variance between the measured values]; below `sampling` where chance made the seeds agree better than their errors
            allow.
    """

    mean: float
    total: float
    sampling: float
    seeds: int

    @property
    def training(self) -> float:
        return max(0.0, self.total - self.sampling)

    @property
    def std_error(self) -> float:
        """Of the mean, over other training seeds and other samples."""
        return math.sqrt(self.total / self.seeds)

    def interval(
        self, confidence: float = 0.95, bounds: tuple[float, float] = (-math.inf, math.inf)
    ) -> tuple[float, float]:
        """mean -/+ t std_error, Student's quantile with R - 1 degrees of freedom, cut at the metric's bounds, where no mean can lie."""
        reach = float(student.ppf(0.5 + confidence / 2, self.seeds - 1)) * self.std_error
        return max(bounds[0], self.mean - reach), min(bounds[1], self.mean + reach)


def variance_components(values: Sequence[float], std_errors: Sequence[float]) -> VarianceComponents:
    """The split for R values of one metric at one protocol, one per training seed."""
    seeds = len(values)
    if seeds != len(std_errors):
        raise ValueError(f"{seeds} values but {len(std_errors)} standard errors: one of each per training seed")
    if seeds < 2:
        raise ValueError(f"{seeds} training seed says nothing of the scatter between seeds: train another one")
    if not all(math.isfinite(number) for number in (*values, *std_errors)) or min(std_errors) < 0:
        raise ValueError(
            f"values {list(values)} and standard errors {list(std_errors)} must be finite, errors not negative"
        )
    mean = math.fsum(values) / seeds
    total = math.fsum((value - mean) ** 2 for value in values) / (seeds - 1)
    return VarianceComponents(mean, total, math.fsum(error**2 for error in std_errors) / seeds, seeds)


def seeds_table(results: Sequence[Results], waived: Sequence[str]) -> str:
    """Several runs that differ in their training seed alone: the mean, and how much of the spread is the sampling's.

    ProtocolMismatch if they were measured differently.
    """
    rows = [("metric", "mean over runs", "95 % interval", "sd of training", "sd of sampling", "runs")]
    for first in results[0].measurements:
        found = [one[first.metric] for one in results]
        for other in found[1:]:
            _comparable(first, other, waived)
        values, errors = [m.value for m in found], [m.std_error for m in found]
        known = [error for error in errors if error is not None]
        if len(known) < len(found):
            continue
        parts = variance_components(values, known)
        low, high = parts.interval() if first.info is None else parts.interval(bounds=first.info.bounds)
        rows.append(
            (
                first.name,
                f"{parts.mean:.4g}",
                f"{low:.4g} .. {high:.4g}",
                f"{math.sqrt(parts.training):.2g}",
                f"{math.sqrt(parts.sampling):.2g}",
                str(len(found)),
            )
        )
    return f"{len(results)} runs together\n{aligned(rows)}"


def comparison_table(files: Sequence[str], waived: Sequence[str], stated: Mapping[str, Any]) -> str:
    """The numbers that results files have in common, the difference to the first file's.

    A difference has the interval of two independent estimates; measured on the same seeds it is narrower in truth.

    Args:
        files: The results files, or the folders that they lie in.
        waived: Fields of the protocol that may differ.
        stated: Metric -> what kind of number it is, of those whose files do not say it; plain values.

    Raises:
        ProtocolMismatch: A number was measured differently and not all differences are waived.
    """
    infos = {metric: MetricInfo.read(node, f"info.{metric}") for metric, node in stated.items()}
    if len(files) < 2:
        raise ValueError("compare names two results.json files at least")
    results = [_read(_place(Path(file))) for file in files]
    if len({_place(Path(file)).resolve() for file in files}) < len(files):
        raise ValueError(f"compare=[{','.join(files)}] names one file twice: it differs from itself nowhere")
    common = [
        declared(m, infos.get(m.metric), files[0])
        for m in results[0].measurements
        if all(_has(other, m.metric) for other in results[1:])
    ]
    if not common:
        raise ValueError(f"{' and '.join(files)} have no metric in common")
    rows, noted = (
        [("metric", "file", "value", "95 % interval", "difference", "95 % of it", "better")],
        set[Difference](),
    )
    for first in common:
        rows.append((first.name, files[0], f"{first.value:.4g}", first.interval_text, "", "", first.direction))
        for file, other in zip(files[1:], results[1:], strict=True):
            m = declared(_nearest(other, first), infos.get(first.metric), file)
            if m.direction != first.direction:
                ways = f"the better one is the {first.direction} in {files[0]} and the {m.direction} in {file}"
                raise ValueError(f"{first.metric} is not one metric: {ways}")
            noted |= set(_comparable(first, m, waived))
            rows.append(
                ("", file, f"{m.value:.4g}", m.interval_text, f"{m.value - first.value:+.4g}", _reach(first, m), "")
            )
    idle = [name for name in waived if not any(is_covered(difference.field, [name]) for difference in noted)]
    numberless = [
        f"{file}: {m.metric} is no number, since {m.why}"
        for file, one in zip(files, results, strict=True)
        for m in one.measurements
        if m.why
    ]
    lines = [
        aligned(rows),
        *numberless,
        INTERVAL,
        *(f"waived: {difference}" for difference in sorted(map(str, noted))),
    ]
    return "\n".join([*lines, *(f"waive={name} has no effect: nothing differs in it" for name in idle)])


def _comparable(first: Measurement, second: Measurement, waived: Sequence[str]) -> list[Difference]:
    """The differences that were waived; a ProtocolMismatch that names the metric if there are others."""
    try:
        return check_comparable(first.protocol, second.protocol, waived)
    except ProtocolMismatch as error:
        raise ValueError(f"{first.name} and {second.name}: {error}") from error


def _place(path: Path) -> Path:
    return path / "results.json" if path.is_dir() else path


def _read(place: Path) -> Results:
    if not place.is_file():
        raise ValueError(f"compare: there is no file {place}")
    return Results.from_json(read_text(place), place)


def _has(results: Results, metric: str) -> bool:
    return any(m.metric == metric for m in results.measurements)


def _nearest(results: Results, wanted: Measurement) -> Measurement:
    """Of several measurements of a metric the one whose protocol differs least."""
    found = [m for m in results.measurements if m.metric == wanted.metric]
    return min(found, key=lambda m: len(wanted.protocol.differences(m.protocol)))


def _reach(a: Measurement, b: Measurement) -> str:
    if a.std_error is None or b.std_error is None:
        return ""
    return f"-/+ {1.96 * (a.std_error**2 + b.std_error**2) ** 0.5:.2g}"
