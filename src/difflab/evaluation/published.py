"""Published numbers beside our own: the gap, and how the two were measured differently.

A paper's number stands in an experiment's configuration under `target`, with what the paper says of how it was measured. What it does not
say is not guessed: a field that we took for granted is listed under `assumed`, all others are reported as not stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from textwrap import fill
from typing import TYPE_CHECKING, Any

from difflab.metrics.protocol import NOT_STATED, Difference, Protocol, Value
from difflab.reading import shown
from difflab.reading.json import expected, is_a
from difflab.suggest import suggestion

if TYPE_CHECKING:  # a study's file has targets and no measurements
    from difflab.evaluation.results import Measurement, Results

CONFIDENCE = ("paper", "secondary", "unverified")
"""Read in the paper; read in a source that quotes it; from memory."""

STATED = {
    "samples": "samples",
    "steps": "sampler.grid.steps",
    "sampler": "sampler._target_",
    "eta": "sampler.eta",
    "guidance": "guidance",
    "clipping": "guidance",
    "weights": "track",
    "extractor": "extractor.name",
    "reference_images": "reference.images",
    "quantization": "quantization",
    "precision": "precision",
}
"""What a target may say of its protocol -> the measurement's field. Values are as papers write them: sampler: DDIM, guidance: none or cfg,
weights: ema or online. clipping: none, or the parts of `BOUNDS`. quantization: the name of the function."""

OF_STAGES = ("steps", "sampler", "guidance", "clipping", "weights", "quantization")
"""What a target says of each stage of a cascade: steps: "250, 25"."""

OF_INCEPTION = ("fid", "sfid", "kid", "fid_inf", "is", "precision", "recall", "density", "coverage")
"""Metrics whose plain name says which features they are of."""

OURS_ALONE = ("extractor.fingerprint", "extractor.weights", "reference.fingerprint", "seeds", "guidance_order")
"""Fields that no paper states."""

BOUNDS = ("clip", "dynamic_threshold")
"""Parts of our guidance that papers do not call so: they bound x_0. A target says of them under `clipping`."""


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("metric", "source"), str),
    "assumed": (list, tuple),
    "at_step": (float, type(None)),
    **dict.fromkeys(("reference", "selection"), (str, type(None))),
}
"""Of what a target says, besides its number."""


@dataclass(frozen=True)
class Target:
    """A published number.

    Attributes:
        name: The key under `target`: fid, fid_at_700k.
        metric: fid, is, precision, bits_per_dim.
        source: Paper and table.
        confidence: See `CONFIDENCE`.
        stated: What the source says of how it was measured, by the keys of `STATED`.
        assumed: Keys of `stated` that the source does not say.
        at_step: Training steps of the model.
        reference: What the samples were compared with, in words.
        selection: How the number was chosen, where it is not simply that of the last step.
    """

    name: str
    metric: str
    value: float
    source: str
    confidence: str
    stated: Mapping[str, Value]
    assumed: frozenset[str] = frozenset()
    at_step: int | None = None
    reference: str | None = None
    selection: str | None = None

    @classmethod
    def read(cls, name: str, node: Mapping[str, Any]) -> Target:
        """From {value, source, confidence, [metric, assumed, at_step, reference, selection], and what is stated}."""
        where, own = f"target.{name}", {f.name for f in fields(cls)} - {"name", "stated"}
        if not isinstance(node, Mapping) or not all(isinstance(key, str) for key in node):
            raise ValueError(f"{where} is {shown(node)}: expected {{value: ..., source: ..., confidence: paper}}")
        for key in sorted(node.keys() - own - STATED.keys()):
            raise ValueError(f"{where}: unknown key {key!r}; {suggestion(key, sorted({*own, *STATED}))}")
        if missing := sorted({"value", "source", "confidence"} - node.keys()):
            raise ValueError(
                f"{where} lacks {', '.join(missing)}: a published number has a value, a source and a confidence"
            )
        if not isinstance(node["confidence"], str) or node["confidence"] not in CONFIDENCE:
            raise ValueError(f"{where}.confidence = {node['confidence']!r}: expected one of {', '.join(CONFIDENCE)}")
        if isinstance(node["value"], bool) or not isinstance(node["value"], int | float):
            raise ValueError(f"{where}.value = {node['value']!r} is no number")
        for key, kinds in _KINDS.items():
            if key in node and not is_a(node[key], kinds):
                raise ValueError(f"{where}.{key} is {shown(node[key])}: expected {expected(kinds)}")
        metric, stated = node.get("metric", name), {key: node[key] for key in STATED if key in node}
        if metric in OF_INCEPTION:
            stated.setdefault("extractor", "inception")
        if unknown := sorted({str(one) for one in node.get("assumed", ())} - stated.keys()):
            raise ValueError(f"{where}.assumed names {', '.join(unknown)}, of which the target says nothing")
        return cls(
            name=name,
            metric=metric,
            value=float(node["value"]),
            source=node["source"],
            confidence=node["confidence"],
            stated=stated,
            assumed=frozenset(node.get("assumed", ())),
            at_step=node.get("at_step"),
            reference=node.get("reference"),
            selection=node.get("selection"),
        )


def read_targets(node: Mapping[str, Mapping[str, Any]]) -> list[Target]:
    """The `target` node of an experiment's configuration."""
    return [Target.read(name, inner) for name, inner in node.items()]


@dataclass(frozen=True)
class PublishedComparison:
    """Our number and a published one.

    Attributes:
        differences: (field, ours, theirs) where the source states a field and we do not state the same.
        not_stated: (field, ours, `NOT_STATED`) where the source says nothing.
    """

    measurement: Measurement
    target: Target
    differences: list[Difference]
    not_stated: list[Difference]

    @property
    def gap(self) -> float:
        """Ours - theirs."""
        return self.measurement.value - self.target.value

    @property
    def relative_gap(self) -> float | None:
        """gap / theirs; None where theirs is 0."""
        return self.gap / abs(self.target.value) if self.target.value else None

    @property
    def inside(self) -> bool | None:
        """Whether theirs lies in our interval of 95 %; None where we have none."""
        interval = self.measurement.interval()
        return None if interval is None else interval[0] <= self.target.value <= interval[1]


def compare_with_published(measurement: Measurement, target: Target, step: int | None = None) -> PublishedComparison:
    """How far our number is from a published one, and what else differs.

    Args:
        measurement: Our number.
        target: The published one.
        step: Our training steps, None if unknown: they are no part of a protocol.

    Raises:
        ValueError: They are numbers of different metrics.
    """
    if measurement.metric != target.metric:
        raise ValueError(
            f"our {measurement.metric} cannot be compared with a published {target.metric} ({target.source})"
        )
    ours, theirs = _ours(measurement), dict(target.stated)
    for field, mine, other in (("at_step", step, target.at_step), ("selection", None, target.selection)):
        if other is not None:
            theirs[field] = other
            if mine is not None:
                ours[field] = mine
    differences = [
        Difference(field, ours.get(field, NOT_STATED), value)
        for field, value in theirs.items()
        if field not in ours or not _same(ours[field], value)
    ]
    silent = [Difference(field, value, NOT_STATED) for field, value in ours.items() if field not in theirs]
    return PublishedComparison(measurement, target, differences, silent + _without_word(measurement.protocol))


def compare_with_targets(results: Results, targets: list[Target], step: int | None = None) -> list[PublishedComparison]:
    """Each of our numbers with what was published of it: at the same training step where there is such a number, else at every step."""
    found = []
    for measurement in results.measurements:
        published = [target for target in targets if target.metric == measurement.metric]
        at_our_step = [target for target in published if target.at_step == step]
        found += [compare_with_published(measurement, target, step) for target in at_our_step or published]
    return found


def _ours(measurement: Measurement) -> dict[str, Value]:
    """Key of `STATED` -> what our protocol says of it, in a paper's words. Those of a cascade's stages follow each other: 250, 25."""
    found = _in_words(measurement.protocol.fields)
    if stages := measurement.protocol.stages():
        words = [_in_words(stage.fields) for stage in stages]
        said = [key for key in OF_STAGES if any(key in one for one in words)]
        found |= {key: ", ".join(str(one.get(key, NOT_STATED)) for one in words) for key in said}
    if measurement.samples:
        found["samples"] = measurement.samples
    return found


def _in_words(protocol: Mapping[str, Value]) -> dict[str, Value]:
    found: dict[str, Value] = {key: protocol[name] for key, name in STATED.items() if name in protocol}
    if "weights" in found:
        found["weights"] = "online" if found["weights"] == "online" else "ema"
    if "quantization" in found:
        found["quantization"] = str(found["quantization"]).rsplit(".", 1)[-1]
    if "sampler" in found:  # sampled by us, so that no field of guidance means none
        found["sampler"] = str(found["sampler"]).rsplit(".", 1)[-1]
        names = {name.split(".")[1] for name in protocol if name.startswith("guidance.")}
        found["guidance"] = ", ".join(sorted(names.difference(BOUNDS))) or "none"
        found["clipping"] = ", ".join(sorted(names.intersection(BOUNDS))) or "none"
    return found


def _without_word(protocol: Protocol) -> list[Difference]:
    """Our fields for which `STATED` has no word, less those that only we could state."""
    said = [field for field in STATED.values() if field != "guidance"]  # its settings are more than its name
    said += OURS_ALONE
    said += [f"stages.{i}.{field}" for i in range(len(protocol.stages())) for field in said]
    rest = protocol.without(*said, "metric.name")
    return [Difference(name, value, NOT_STATED) for name, value in rest.fields.items()]


def _same(ours: Value, theirs: Value) -> bool:
    """250 and "250" are the same number of steps."""
    return ours == theirs or str(ours).casefold() == str(theirs).casefold()


def published_table(
    comparisons: Sequence[PublishedComparison], unmeasured: Sequence[Target] = (), width: int = 120
) -> str:
    """An aligned table; below each number how the two were measured differently."""
    head = ("metric", "ours", "published", "gap", "relative", "in our 95 %", "source")
    rows = [head, *map(_row, comparisons)]
    columns = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, columns, strict=True)).rstrip() for row in rows]
    text = lines[:1]
    for line, comparison in zip(lines[1:], comparisons, strict=True):
        differ = [
            f"{d.field} {d.first} (published {d.second}{', assumed' if d.field in comparison.target.assumed else ''})"
            for d in comparison.differences
        ]
        silent = [f"{d.field} {d.first}" for d in comparison.not_stated]
        text.append(line)
        for label, found in (("differs", differ or ["nothing that the source states"]), ("not stated", silent)):
            if found:
                indent = "  " + " " * len(label) + "  "
                text.append(
                    fill(f"  {label}: {'; '.join(found)}", width, subsequent_indent=indent, break_on_hyphens=False)
                )
    text += [f"{t.name} {t.value:g} was published ({t.source}) and not measured" for t in unmeasured]
    return "\n".join(text)


def _row(comparison: PublishedComparison) -> tuple[str, ...]:
    ours, target = comparison.measurement, comparison.target
    interval, relative = ours.interval(), comparison.relative_gap
    reach = "" if interval is None else f" -/+ {(interval[1] - interval[0]) / 2:.2g}"
    known = [target.confidence, *([f"against {target.reference}"] if target.reference else [])]
    return (
        target.name,
        f"{ours.value:.4g}{reach}",
        f"{target.value:g}",
        f"{comparison.gap:+.3g}",
        "" if relative is None else f"{relative:+.1%}",
        {None: "unknown", True: "yes", False: "no"}[comparison.inside],
        f"{target.source} ({', '.join(known)})",
    )
