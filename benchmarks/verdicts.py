"""How often verdicts are wrong: difflab's own rule on thousands of studies whose truth is known.

    python -m benchmarks.verdicts [--studies 6000]

A study's metric at seed s is level + (effect that all arms share at s) + spread * noise, with common random numbers as training makes
them. Each cell counts the studies of which a claim is false (or, of power, right). The rates go to benchmarks/results/<date>-verdicts.json
and .md, which docs/statistics.md quotes. Four minutes of one processor core.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.record import machine, today, versions
from difflab.metrics import MetricInfo
from difflab.studies.scale import DIFFERENCE, Margin
from difflab.studies.statistics import Outcome, Pair, Verdict, judge, paired_difference

NUMBER = MetricInfo(higher_is_better=False, bounds=(-math.inf, math.inf))
RATIO = MetricInfo(higher_is_better=False, ratio=True)

Arm = np.ndarray
"""Values at each seed; not a number where the run has failed. [seeds]"""
Claim = Callable[[Mapping[str, Verdict]], bool]


@dataclass(frozen=True)
class Cell:
    """Studies of one kind.

    Attributes:
        name: What is counted, of which studies.
        draw: A study: the baseline, and its rows.
        claim: What is counted of its verdicts.
        info: The metric.
        margin: Of the study.
        limit: The rate that should not be passed; None where the rate is a power, or an error that the rule does not guard against.
    """

    name: str
    draw: Callable[[np.random.Generator], tuple[Arm, Sequence[Arm]]]
    claim: Claim
    info: MetricInfo = NUMBER
    margin: Margin | None = None
    limit: float | None = 0.05

    def rate(self, studies: int, seed: int = 0) -> float:
        """The share of so many studies."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        return sum(self.claim(verdicts_of(*self.draw(rng), self.info, self.margin)) for _ in range(studies)) / studies


def verdicts_of(base: Arm, rows: Sequence[Arm], info: MetricInfo, margin: Margin | None = None) -> dict[str, Verdict]:
    other = dict(enumerate(base.tolist()))
    comparisons = {str(i): Pair(dict(enumerate(row.tolist())), other, "base") for i, row in enumerate(rows)}
    return judge(comparisons, "number", info, margin=margin)


def noise(rng: np.random.Generator, kind: str, shape: tuple[int, ...] | int) -> np.ndarray:
    """Mean 0 and standard deviation 1."""
    if kind == "exponential":
        return rng.exponential(size=shape) - 1
    if kind == "gamma(2)":
        return (rng.gamma(2, size=shape) - 2) / math.sqrt(2)
    z = rng.standard_normal(shape)
    if kind == "normal":
        return z
    sigma = float(kind.removeprefix("lognormal "))
    return (np.exp(sigma * z) - math.exp(sigma**2 / 2)) / math.sqrt(math.expm1(sigma**2) * math.exp(sigma**2))


@cache
def median_difference(kind: str, row: float, base: float) -> float:
    """Of row * noise - base * noise."""
    rng = np.random.default_rng(7)
    return float(np.median(row * noise(rng, kind, 1_000_000) - base * noise(rng, kind, 1_000_000)))


def arms(
    kind: str, spreads: tuple[float, float], n: int, rows: int, shift: float
) -> Callable[[np.random.Generator], tuple[Arm, list[Arm]]]:
    """A baseline, and rows that spread by another factor; `shift` is added to all of them."""

    def draw(rng: np.random.Generator) -> tuple[Arm, list[Arm]]:
        common = 3 * rng.standard_normal(n)
        base = common + spreads[1] * noise(rng, kind, n)
        return base, [common + shift + spreads[0] * noise(rng, kind, n) for _ in range(rows)]

    return draw


def logarithmic(sigma: float, n: int, effect: float) -> Callable[[np.random.Generator], tuple[Arm, list[Arm]]]:
    """A distance that scatters in proportion to its level, and a row that is lower by `effect` standard deviations of its differences."""

    def draw(rng: np.random.Generator) -> tuple[Arm, list[Arm]]:
        lower = effect * sigma * math.sqrt(2)
        return 20 * np.exp(sigma * rng.standard_normal(n)), [20 * np.exp(sigma * rng.standard_normal(n) - lower)]

    return draw


def failing(n: int, row: float, base: float, rows: int = 1) -> Callable[[np.random.Generator], tuple[Arm, list[Arm]]]:
    """Runs fail with these chances; shifted such that a row is better at half of the seeds at which one of both has a number."""
    from scipy.special import ndtri

    both = (1 - row) * (1 - base)
    one = row * (1 - base) + base * (1 - row)
    # P(better) = both * Phi(x) + base (1 - row) = (both + one) / 2
    shift = -math.sqrt(2) * float(ndtri(((both + one) / 2 - base * (1 - row)) / both))

    def draw(rng: np.random.Generator) -> tuple[Arm, list[Arm]]:
        common = rng.standard_normal(n)
        first = common + rng.standard_normal(n)
        others = [common + shift + rng.standard_normal(n) for _ in range(rows)]
        return np.where(rng.random(n) < base, np.nan, first), [
            np.where(rng.random(n) < row, np.nan, one) for one in others
        ]

    return draw


def worst_lost(n: int, kept: bool) -> Callable[[np.random.Generator], tuple[Arm, list[Arm]]]:
    """Arms alike, and the row's worst run has failed: it has no number, or is left out as if it had never been planned."""

    def draw(rng: np.random.Generator) -> tuple[Arm, list[Arm]]:
        base, row = rng.standard_normal(n), rng.standard_normal(n)
        worst = int(np.argmax(row))
        if kept:
            row[worst] = np.nan
            return base, [row]
        return np.delete(base, worst), [np.delete(row, worst)]

    return draw


def different(found: Mapping[str, Verdict]) -> bool:
    return any(one.outcome in (Outcome.BETTER, Outcome.WORSE) for one in found.values())


def better(found: Mapping[str, Verdict]) -> bool:
    return any(one.outcome is Outcome.BETTER for one in found.values())


def on_average(found: Mapping[str, Verdict]) -> bool:
    return any(one.on_average for one in found.values())


def equivalent(found: Mapping[str, Verdict]) -> bool:
    return any(one.outcome is Outcome.EQUIVALENT for one in found.values())


def cells() -> Iterator[Cell]:
    """All that docs/statistics.md quotes, but for looks and choices."""
    for n in (3, 5, 10, 15):
        for kind in ("normal", "gamma(2)", "exponential"):
            shift = -median_difference(kind, 3, 1)
            yield Cell(
                f"typical seed: {kind}, spread 3 : 1, 3 rows, {n} seeds", arms(kind, (3, 1), n, 3, shift), different
            )
    for n in (3, 5, 10):
        draw = arms("exponential", (3, 1), n, 3, 0)
        yield Cell(
            f"mean, if `better` were read so: exponential, spread 3 : 1, 3 rows, {n} seeds", draw, different, limit=None
        )
        for kind in ("gamma(2)", "exponential", "lognormal 1"):
            limit = 0.06 if kind != "lognormal 1" else None
            draw = arms(kind, (3, 1), n, 3, 0)
            yield Cell(f"on average: {kind}, spread 3 : 1, 3 rows, {n} seeds", draw, on_average, limit=limit)
        right = arms("normal", (1, 1), n, 1, -2 * math.sqrt(2))
        yield Cell(f"power, better: normal, 2 sd, 1 row, {n} seeds", right, better, limit=None)
        yield Cell(f"power, better on average: normal, 2 sd, 1 row, {n} seeds", right, on_average, limit=None)
    for n in (3, 5):
        yield Cell(f"ratio: CV 50 %, no effect, 1 row, {n} seeds", logarithmic(0.5, n, 0), different, RATIO)
        yield Cell(
            f"power as a ratio: CV 50 %, 2 sd, 1 row, {n} seeds", logarithmic(0.5, n, 2), better, RATIO, limit=None
        )
        yield Cell(
            f"power on raw differences: CV 50 %, 2 sd, 1 row, {n} seeds", logarithmic(0.5, n, 2), better, limit=None
        )
    for n in (5, 8, 10, 15):
        for kind in ("normal", "exponential"):
            reach = 2 * math.sqrt(10)
            at_margin = arms(kind, (3, 1), n, 1, reach - median_difference(kind, 3, 1))
            yield Cell(
                f"equivalent at the margin: {kind}, spread 3 : 1, 2 sd, 1 row, {n} seeds",
                at_margin,
                equivalent,
                margin=Margin(reach, DIFFERENCE),
                limit=0.06,
            )
    for n in (5, 8, 10):
        for row, base in ((0.2, 0.2), (0.2, 0.0), (0.4, 0.0), (0.0, 0.2)):
            name = (
                f"failed runs: {100 * row:.0f} % of the row's, {100 * base:.0f} % of the baseline's, 1 row, {n} seeds"
            )
            yield Cell(name, failing(n, row, base), different)
    yield Cell(
        "failed runs: the row's worst of 5 left out, as rule 1 did", worst_lost(5, kept=False), better, limit=None
    )
    yield Cell("failed runs: the row's worst of 5 counted as failed", worst_lost(5, kept=True), better, limit=0.025)


def looks(studies: int, last: int, seed: int = 1) -> float:
    """A study of one row without effect, looked at after each seed from the third on, with the right to stop at the first small p."""
    rng, found = np.random.default_rng([seed, last]), 0
    for _ in range(studies):
        d = rng.standard_normal(last).tolist()
        zero = dict.fromkeys(range(last), 0.0)
        found += any((paired_difference(dict(enumerate(d[:n])), zero).p or 1) <= 0.05 for n in range(3, last + 1))
    return found / studies


def chosen(studies: int, tests: int, shared: bool, seed: int = 2) -> float:
    """The smallest of several p without Holm, five seeds each: of metrics that know nothing of each other, or of rows of one baseline."""
    rng, found = np.random.default_rng([seed, tests]), 0
    for _ in range(studies):
        base, rows = rng.standard_normal(5), rng.standard_normal((tests, 5))
        bases = [base] * tests if shared else rng.standard_normal((tests, 5))
        found += any(different(verdicts_of(one, [row], NUMBER)) for one, row in zip(bases, rows, strict=True))
    return found / studies


def practices(studies: int) -> Iterator[tuple[str, float]]:
    """What the rule cannot guard against, and difflab therefore records."""
    yield "looks after each seed, 3 to 10, one row, normal", looks(studies, 10)
    yield "looks after each seed, 3 to 20, one row, normal", looks(studies, 20)
    yield "the deciding metric chosen afterwards among four independent ones", chosen(studies, 4, shared=False)
    yield "twelve studies of one row with one baseline", chosen(studies, 12, shared=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--studies", type=int, default=6000, help="of each cell")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / f"{today()}-verdicts.json")
    options = parser.parse_args()
    started, rates = time.process_time(), []
    for cell in cells():
        rates.append({"what": cell.name, "rate": cell.rate(options.studies), "limit": cell.limit})
        print(f"{100 * rates[-1]['rate']:5.1f} %  {cell.name}", flush=True)
    for name, rate in practices(options.studies):
        rates.append({"what": name, "rate": rate, "limit": None})
        print(f"{100 * rate:5.1f} %  {name}", flush=True)
    record = {
        "date": today(),
        "studies": options.studies,
        "cpu_seconds": round(time.process_time() - started),
        "machine": machine(),
        "versions": versions(),
        "rates": rates,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(record), encoding="utf-8")
    print(options.out)


def page(record: Mapping) -> str:
    """The rates as a table in Markdown."""
    studies = record["studies"]
    error = 100 * math.sqrt(0.05 * 0.95 / studies)
    lines = [
        "# Error rates of verdicts",
        "",
        f"`python -m benchmarks.verdicts --studies {studies}`, {record['date']}: {studies:,} studies a line, hence a standard error of "
        f"{error:.1f} points at 5 %; {record['cpu_seconds']} s of one processor core. The level is 5 %.",
        "Lines without a limit are powers, or errors of practices that the rule does not guard against.",
        "",
        "| of studies | % | limit |",
        "| :-- | --: | --: |",
    ]
    for one in record["rates"]:
        limit = "" if one["limit"] is None else f"{100 * one['limit']:g}"
        lines.append(f"| {one['what']} | {100 * one['rate']:.1f} | {limit} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
