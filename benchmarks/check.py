"""What became slower between two records, by more than the noise.

    python -m benchmarks.check OLD.json NEW.json [--least 3] [--alpha 0.05]

A line is a contender of a case, or of a curve of growth its largest size. Where both records have the case's baseline, the ratios to it
are compared, round by round: a machine that is slower today is slower for both. Else the values themselves, and then another machine, or
another mood of the same, looks like a change.

A line is called slower if two things hold. The rounds of the two records would be so far apart with a probability of at most alpha by
chance, over all lines together (exact rank-sum tests, Holm's correction): with no change at all, one comparison of two records in
twenty has a line that is called slower, and one in twenty a line that is called faster. And the change is at least `least`: two runs
of the same code differ in what a process does not choose anew in every round (where memory lies, which core), and the rounds of
one run cannot know it. The test needs rounds: 7 and 7 can give p = 1 / 3,432, enough for 171 lines; fewer are told as too few.

The exit status is 1 if a line became slower.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import OURS
from benchmarks.contest import paired_ratios
from benchmarks.growth_curve import is_curve, sizes
from benchmarks.rank_sum import rank_sum
from benchmarks.record import Measurement, Record, read
from benchmarks.tarone_holm import tarone_holm

ALPHA, LEAST = 0.05, 3.0


@dataclass(frozen=True)
class Line:
    """The values, or ratios, of a contender in both records, by round."""

    name: str
    more_is_better: bool
    old: Sequence[float]
    new: Sequence[float]


@dataclass(frozen=True)
class Verdict:
    """Whether a line has become worse.

    Attributes:
        change: Of the value: 0.1 is 10 % more.
        slower: Adjusted p of being slower (or larger, where that is worse); None where there are too few rounds.
        faster: The same of being faster.
    """

    line: Line
    change: float
    slower: float | None
    faster: float | None

    @property
    def is_worse(self) -> bool:
        return (self.change < 0) == self.line.more_is_better

    def is_called(self, worse: bool, alpha: float, least: float) -> bool:
        p = self.slower if worse else self.faster
        return p is not None and p <= alpha and abs(self.change) >= least and self.is_worse == worse


def compared(old: Record, new: Record) -> list[Line]:
    """The lines that both records have."""
    earlier, found = _by_case(old), []
    for case, now in _by_case(new).items():
        before = earlier.get(case)
        for contender in _contenders(now) if before is not None else ():
            if before is None or contender not in before.values:
                continue
            base = _base(before, now)
            if contender == base:
                continue  # it is what the others are compared with
            values = [_values(one, contender, base) for one in (before, now)]
            if min(map(min, values)) > 0:  # what is not positive has no ratio
                found.append(Line(_name(now, contender, base), now.more_is_better, *values))
    return found


def judged(lines: Sequence[Line], alpha: float = ALPHA) -> list[Verdict]:
    """All lines together, so that the error is that of the whole comparison."""
    tests = [rank_sum([math.log(v) for v in line.old], [math.log(v) for v in line.new]) for line in lines]
    more = tarone_holm([t.p_more for t in tests], [t.attainable[0] for t in tests], alpha)
    less = tarone_holm([t.p_less for t in tests], [t.attainable[1] for t in tests], alpha)
    return [
        Verdict(line, math.expm1(test.shift), *((down, up) if line.more_is_better else (up, down)))
        for line, test, up, down in zip(lines, tests, more, less, strict=True)
    ]


def report(old: Record, new: Record, alpha: float, least: float) -> tuple[list[str], bool]:
    """What there is to say, and whether something became slower."""
    verdicts = judged(compared(old, new), alpha)
    said = [f"! {warning}" for warning in _differences(old, new)]
    said += [f"the baselines themselves: {drift:+.1%} (the machine, or their versions)" for drift in _drift(old, new)]
    calls = {worse: [v for v in verdicts if v.is_called(worse, alpha, least)] for worse in (True, False)}
    for worse, title in ((True, "slower, or larger"), (False, "faster, or smaller")):
        if calls[worse]:
            said += [f"{title}:", *(_told(v, worse) for v in sorted(calls[worse], key=lambda v: -abs(v.change)))]
    weak = [v for v in verdicts if v.slower is None and v.faster is None and abs(v.change) >= least]
    if weak:
        said += ["changed, but with too few rounds, or equal values, to tell:", *(_told(v, None) for v in weak)]
    for title, mine, others in (("gone", old, new), ("new", new, old)):
        absent = sorted(_names(mine) - _names(others))
        said += [f"{title}: {name}" for name in absent]
    unchanged = len(verdicts) - len(calls[True]) - len(calls[False])
    said.append(
        f"{len(verdicts)} lines: {len(calls[True])} slower, {len(calls[False])} faster, {unchanged} without a change that is at least "
        f"{least:.0%} and beyond the noise (alpha = {alpha:g} over all lines)"
    )
    return said, bool(calls[True])


def _by_case(record: Record) -> dict[tuple[str, str, str], Measurement]:
    return {(m.bench, m.case, m.unit): m for m in record.measurements}


def _contenders(measurement: Measurement) -> list[str]:
    """Of a curve the largest size alone: the sizes between would make one change into many lines."""
    return [sizes(measurement)[-1][1]] if is_curve(measurement) else list(measurement.values)


def _base(before: Measurement, now: Measurement) -> str | None:
    """The baseline; where that is one of ours, somebody else: what is slower should be seen to be slower. None if both have none."""
    if is_curve(now):
        return now.baseline if now.baseline in before.values else None
    names = [str(now.baseline), *now.values] if now.baseline is not None else []
    return next((name for name in names if name in before.values and not name.startswith(OURS)), None)


def _values(measurement: Measurement, contender: str, base: str | None) -> list[float]:
    values = measurement.values[contender]
    return values if base is None else paired_ratios(values, measurement.values[base])


def _name(measurement: Measurement, contender: str, base: str | None) -> str:
    what = f"{contender} / {base}" if base is not None else f"{contender}, {measurement.unit}"
    return f"{measurement.bench}: {measurement.case}: {what}"


def _names(record: Record) -> set[str]:
    return {f"{m.bench}: {m.case}: {name}" for m in record.measurements for name in m.values}


def _told(verdict: Verdict, worse: bool | None) -> str:
    old, new = (statistics.median(values) for values in (verdict.line.old, verdict.line.new))
    p = "" if worse is None else f", p = {verdict.slower if worse else verdict.faster:.2g}"
    return f"  {verdict.change:+7.1%}  {verdict.line.name} ({old:.4g} -> {new:.4g}{p})"


def _differences(old: Record, new: Record) -> list[str]:
    """What besides the code may have changed the values."""
    return [
        f"{what} {key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for what, before, after in (("machine:", old.machine, new.machine), ("version of", old.versions, new.versions))
        for key in {**before, **after}
        if key != "difflab" and before.get(key) != after.get(key)
    ]


def _drift(old: Record, new: Record) -> list[float]:
    """[median relative change of the baselines' values, as if all were times], empty without any."""
    before = _by_case(old)
    found = []
    for case, now in _by_case(new).items():
        one = before.get(case)
        if one is None or now.baseline is None or now.baseline not in one.values or is_curve(now):
            continue
        change = math.log(statistics.median(now.values[now.baseline]) / statistics.median(one.values[now.baseline]))
        found.append(-change if now.more_is_better else change)
    return [math.expm1(statistics.median(found))] if found else []


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    parser.add_argument("--least", type=float, default=LEAST, help="percent that matter (default 3)")
    parser.add_argument("--alpha", type=float, default=ALPHA, help="probability of a false alarm (default 0.05)")
    options = parser.parse_args()
    try:
        records = read(options.old), read(options.new)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    said, slower = report(*records, options.alpha, options.least / 100)
    print("\n".join(said))
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
