"""Numbers of several runs that may be compared.

Those of evaluate.py, in <run>/evaluations/*/results.json; for a metric that some run lacks there, those of every run's last evaluation
during training, which have no standard errors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from difflab.evaluation import Measurement, Results
from difflab.evaluation.results import declared, recognised
from difflab.metrics import Difference, MetricInfo, Protocol, ProtocolMismatch, check_comparable
from difflab.metrics.protocol import is_covered
from difflab.reading import read_text
from difflab.reading.json import restored
from difflab.runs import RunDirectory
from difflab.studies.compare.run_groups import GivenRun
from difflab.studies.spec import StudyError

SAMPLING_SEEDS = "seeds"
"""The field in which runs of different training seeds may differ."""


@dataclass(frozen=True)
class Number:
    """A number of a run.

    Attributes:
        origin: Where it comes from, in words.
    """

    measurement: Measurement
    origin: str


@dataclass(frozen=True)
class Matched:
    """A metric, measured alike in all runs.

    Attributes:
        numbers: Name of the run -> its number.
        waived: Differences that were accepted.
    """

    metric: str
    numbers: Mapping[str, Number]
    waived: tuple[Difference, ...]


@dataclass(frozen=True)
class Matches:
    """What of several runs can be compared, and what cannot.

    Attributes:
        refused: Metric -> how it was measured differently.
        partial: Metrics that some run lacks.
    """

    found: list[Matched]
    refused: Mapping[str, str]
    partial: list[str]


def matches(runs: Sequence[GivenRun], waived: Collection[str], stated: Mapping[str, MetricInfo]) -> Matches:
    """The numbers of several runs that were measured alike.

    Args:
        waived: Fields of the protocol that may differ.
        stated: Metric -> what kind of number it is, of those whose results do not say it.
    """
    evaluated, training = {r.name: _evaluated(r) for r in runs}, {r.name: _while_training(r) for r in runs}
    metrics = dict.fromkeys(
        n.measurement.metric for side in (evaluated, training) for numbers in side.values() for n in numbers
    )
    found, refused, partial = list[Matched](), dict[str, str](), list[str]()
    for metric in metrics:
        for side in (evaluated, training):
            of_it = {name: [n for n in numbers if n.measurement.metric == metric] for name, numbers in side.items()}
            if not all(of_it.values()):
                continue
            try:
                found += [_declared(one, stated.get(metric)) for one in _alike(metric, runs, of_it, waived)]
            except ProtocolMismatch as error:
                refused[metric] = str(error)
            break
        else:
            partial.append(metric)
    return Matches(found, refused, partial)


def _declared(matched: Matched, stated: MetricInfo | None) -> Matched:
    """A StudyError if a run does not say which way the metric is better, or another one than the others."""
    numbers = {}
    for name, number in matched.numbers.items():
        try:
            measurement = declared(number.measurement, stated, f"{name} ({number.origin})")
        except ValueError as error:
            raise StudyError(str(error)) from error
        numbers[name] = replace(number, measurement=measurement)
    ways = {name: number.measurement.info.direction for name, number in numbers.items() if number.measurement.info}
    first, *others = ways
    for name in others:
        if ways[name] != ways[first]:
            raise StudyError(
                f"{matched.metric} is not one metric: the better one is the {ways[first]} in {first} and the {ways[name]} in {name}"
            )
    return replace(matched, numbers=numbers)


def _alike(
    metric: str, runs: Sequence[GivenRun], numbers: Mapping[str, list[Number]], waived: Collection[str]
) -> list[Matched]:
    """One for each protocol that all runs share. A ProtocolMismatch if there is none."""
    first, found = runs[0], list[Matched]()
    for wanted in numbers[first.name]:
        chosen = {first.name: wanted}
        for run in runs[1:]:
            fitting = [n for n in numbers[run.name] if not _refused(first, wanted, run, n, waived)]
            if fitting:
                chosen[run.name] = min(fitting, key=lambda n: len(_differences(wanted, n)))
        if len(chosen) == len(runs):
            _check_pairs(runs, chosen, waived)
            accepted = dict.fromkeys(
                d for n in chosen.values() for d in _differences(wanted, n) if is_covered(d.field, waived)
            )
            found.append(Matched(metric, chosen, tuple(accepted)))
    if not found:
        wanted = numbers[first.name][0]
        for run in runs[1:]:
            nearest = min(numbers[run.name], key=lambda n: len(_differences(wanted, n)))
            if refused := _refused(first, wanted, run, nearest, waived):
                raise ProtocolMismatch(refused)
        raise ProtocolMismatch(_refused_by_any(runs, numbers, waived))
    return found


def _refused_by_any(
    runs: Sequence[GivenRun], numbers: Mapping[str, list[Number]], waived: Collection[str]
) -> list[Difference]:
    """Each run has a number that fits one of the first run's, but no one of these fits all runs."""
    first = runs[0]
    for wanted in numbers[first.name]:
        for run in runs[1:]:
            nearest = min(numbers[run.name], key=lambda n: len(_refused(first, wanted, run, n, waived)))
            if refused := _refused(first, wanted, run, nearest, waived):
                return refused
    return []


def _check_pairs(runs: Sequence[GivenRun], chosen: Mapping[str, Number], waived: Collection[str]) -> None:
    """Runs of one training seed are to have drawn from the same sampling seeds."""
    for i, run in enumerate(runs):
        for other in runs[:i]:
            if run.seed == other.seed:
                check_comparable(_protocol(chosen[other.name]), _protocol(chosen[run.name]), waived)


def _refused(
    run: GivenRun, number: Number, other: GivenRun, theirs: Number, waived: Collection[str]
) -> list[Difference]:
    allowed = [*waived, *([SAMPLING_SEEDS] if run.seed != other.seed else [])]
    return [d for d in _differences(number, theirs) if not is_covered(d.field, allowed)]


def _differences(number: Number, other: Number) -> list[Difference]:
    return _protocol(number).differences(_protocol(other))


def _protocol(number: Number) -> Protocol:
    return number.measurement.protocol


def _evaluated(run: GivenRun) -> list[Number]:
    found = []
    for file in sorted(run.path.glob("evaluations/*/results.json")):
        try:
            results = Results.from_json(read_text(file), file)
        except ValueError as error:
            raise StudyError(f"{file} cannot be read ({error}): remove it and evaluate again") from error
        found += [Number(one, f"evaluations/{file.parent.name}") for one in results.measurements]
    return found


def _while_training(run: GivenRun) -> list[Number]:
    directory, found = RunDirectory(run.path), list[Number]()
    file = directory.protocol
    try:
        protocols = restored(directory.protocols())
        for name, fields in protocols.items():
            steps, values = run.history.curve(name)
            if len(values):
                protocol = Protocol({key: value for key, value in fields.items() if key not in ("fingerprint", "info")})
                metric, node = fields["metric.name"], fields.get("info")
                info = recognised(metric, protocol) if node is None else MetricInfo.read(node, f"info of {name}")
                measurement = Measurement(metric, float(values[-1]), fields["samples"], protocol, info=info)
                found.append(Number(measurement, f"during training, step {steps[-1]:.0f}"))
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{file} is no list of protocols, as training writes it ({error!r}): start the run again"
        ) from error
    return found
