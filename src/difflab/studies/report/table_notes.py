"""What stands below a table: how its numbers were measured, what its intervals are of, from which seeds."""

from __future__ import annotations

from collections.abc import Callable

from difflab.evaluation import Target, compare_with_published
from difflab.metrics import Difference, Protocol
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.execution.state import told_notes
from difflab.studies.report.table import AblationTable, Line
from difflab.studies.statistics import RULE

_NONE = "none"


def protocol_line(evidence: Evidence) -> str:
    """Of the baseline; where a row declares another sampler, number of steps or track, that of the row in brackets."""
    metric = evidence.study.evaluation.decides
    found: dict[str, Protocol] = {}
    for name, arm in evidence.arms.items():
        for replicate in arm.replicates.values():
            found.setdefault(name, replicate.measurements[metric].protocol)
    if not found:
        return "nothing was measured"
    first = next(iter(found.values()))
    reference = first.fields.get("reference.fingerprint", _NONE)
    said = [
        f"{metric} of {_count(first, 'samples')} samples",
        f"features of {first.fields.get('extractor.name', _NONE)}",
        f"reference {reference} ({_count(first, 'reference.images')} images)",
    ]
    for label, words in (("sampler", _sampler), ("steps", _steps), ("guidance", _guidance), ("track", _track)):
        of_rows = {name: _by_stage(words, protocol) for name, protocol in found.items()}
        own = next(iter(of_rows.values()))
        others = [f"{name}: {value}" for name, value in of_rows.items() if value != own]
        said.append(f"{label} {own}" + (f" ({'; '.join(others)})" if others else ""))
    # of the fields without the sampling seeds, which every replicate has its own of
    said.append(f"fingerprint {first.without('seeds').fingerprint} (sampling seeds apart)")
    return ", ".join(said)


def _by_stage(words: Callable[[Protocol], str], protocol: Protocol) -> str:
    """What is said of it; of a cascade of each stage."""
    return " then ".join(words(stage) for stage in protocol.stages() or [protocol])


def _count(protocol: Protocol, field: str) -> str:
    count = protocol.fields.get(field)
    return f"{count:,}" if isinstance(count, int) else "unknown"


def _sampler(protocol: Protocol) -> str:
    name = str(protocol.fields.get("sampler._target_", "not stated")).rsplit(".", 1)[-1]
    eta = protocol.fields.get("sampler.eta")
    return name if eta is None else f"{name} eta {eta:g}"


def _steps(protocol: Protocol) -> str:
    return str(protocol.fields.get("sampler.grid.steps", "not stated"))


def _track(protocol: Protocol) -> str:
    return str(protocol.fields.get("track", "not stated"))


def _guidance(protocol: Protocol) -> str:
    names = dict.fromkeys(name.split(".")[1] for name in protocol.fields if name.startswith("guidance."))
    scales = {name: protocol.fields.get(f"guidance.{name}.scale") for name in names}
    return " + ".join(name if scale is None else f"{name} {scale:g}" for name, scale in scales.items()) or _NONE


def notes(table: AblationTable) -> list[str]:
    evidence = table.evidence
    study, arms = evidence.study, evidence.arms
    rows = len(study.compared())
    level = f"{100 * (1 - study.alpha):g} %"
    text = [
        f"±, [ ]: {level} interval over seeds, of Δ over the seeds that both rows have (Student's t); bold: significantly better at "
        f"{study.alpha:g} after Holm's correction over {rows} row{'s' * (rows != 1)}. FLOPs: forward and backward.",
        _compared(table),
        f"Verdicts: by the rule of {RULE}, whichever version measured. Better and worse are said of the median of the paired difference, "
        "and of its mean only where it says so; docs/statistics.md has the rule and its error rates.",
        *evidence.remarks,
        *told_notes({(name, seed): one.notes for name, arm in arms.items() for seed, one in arm.replicates.items()}),
        f"Measured: {protocol_line(table.evidence)}.",
        f"Seeds: {', '.join(map(str, study.seeds))}.",
        *_keys(table),
    ]
    if lacking := [f"{a.row.label}: {', '.join(map(str, a.missing))}" for a in arms.values() if a.missing]:
        text.append(f"Missing seeds: {'; '.join(lacking)}.")
    if failed := [words for arm in arms.values() if (words := _failed(arm, study.evaluation.decides))]:
        text.append(f"Failed: {'; '.join(failed)}.")
    published = {line.arm.row.label: _target(table, line) for line in table.lines.values()}
    if sources := dict.fromkeys(_source(target) for target in published.values() if target):
        text.append(f"Published: {'; '.join(sources)}.")
    if otherwise := _otherwise(table):
        text.append(f"Published under another protocol: {'; '.join(otherwise)}.")
    return [*text, *_cited(table)]


def _keys(table: AblationTable) -> list[str]:
    """By which names programs know the metrics, in results.json and in the CSV."""
    labels = {table.evidence.label(metric): metric for metric in table.evidence.study.evaluation.metrics}
    named = [f"{label}: {metric}" for label, metric in labels.items() if label != metric]
    return [f"Keys of the metrics: {'; '.join(named)}."] if named else []


def measured_differently(line: Line, target: Target) -> list[Difference]:
    """(field, ours, theirs): what the source states and we did in another way. What it does not state is unknown."""
    for replicate in line.arm.replicates.values():
        compared = compare_with_published(replicate.measurements[target.metric], target, line.arm.facts.steps)
        return [difference for difference in compared.differences if difference.field != "selection"]
    return []


OF_MEASURING = ("samples", "extractor", "reference_images", "quantization")
"""What a cited number has to share with ours to be read beside them. Sampler, steps and guidance belong to the method cited."""


def cited_differently(table: AblationTable, target: Target) -> list[Difference]:
    """(field, ours, theirs): how a cited number was measured in another way than those of the study's rows."""
    for line in table.lines.values():
        if line.arm.replicates:
            return [one for one in measured_differently(line, target) if one.field in OF_MEASURING]
    return []


def _cited(table: AblationTable) -> list[str]:
    """Where cited numbers come from, and what their sources say of how they were measured."""
    found: dict[str, list[str]] = {}
    for row in table.evidence.study.cited.values():
        target = next(iter(row.published.values()))
        said = [f"{key} {value}" for key, value in target.stated.items() if key not in target.assumed]
        said += [f"{one.field} {one.second} (here {one.first})" for one in cited_differently(table, target)]
        found.setdefault("; ".join(dict.fromkeys(one.source for one in row.published.values())), []).append(
            row.label + (f" ({', '.join(dict.fromkeys(said))})" if said else "")
        )
    return [f"Cited from {source}: {', '.join(labels)}." for source, labels in found.items()]


def _compared(table: AblationTable) -> str:
    study, arms = table.evidence.study, table.evidence.arms
    others = [
        f"that of {arm.row.label} is to {arms[arm.row.against].row.label}"
        for arm in arms.values()
        if arm.row.against != study.baseline
    ]
    info = table.evidence.info(study.evaluation.decides)
    taken = ", a ratio of geometric means at equal seeds" if info is not None and info.ratio else ""
    return "; ".join([f"Δ: to {arms[study.baseline].row.label}{taken}", *others]) + "."


def _failed(arm: Arm, metric: str) -> str:
    seeds = [f"seed {seed} ({why})" for seed, why in arm.failed(metric).items()]
    return f"{arm.row.label}: {', '.join(seeds)}" if seeds else ""


def _target(table: AblationTable, line: Line) -> Target | None:
    return line.published.get(table.evidence.study.evaluation.decides)


def _source(target: Target) -> str:
    details = [f"at step {target.at_step:,}"] if target.at_step else []
    details += [f"against {target.reference}"] if target.reference else []
    details += [target.selection] if target.selection else []
    return target.source + (f" ({', '.join(details)})" if details else "")


def _otherwise(table: AblationTable) -> list[str]:
    """Rows that differ in the same way together."""
    found: dict[str, list[str]] = {}
    for line in table.lines.values():
        target = _target(table, line)
        differences = measured_differently(line, target) if target else []
        words = ", ".join(f"{d.field} {d.second} (here {d.first})" for d in differences)
        if words:
            found.setdefault(words, []).append(line.arm.row.label)
    return [f"{', '.join(labels)}: {words}" for words, labels in found.items()]
