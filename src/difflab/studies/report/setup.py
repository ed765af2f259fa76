"""What was trained, how, on what, with which code, and how it was measured: what rows share once, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difflab.formatting import duration, scaled
from difflab.metrics.protocol import NOT_STATED, Protocol, Value
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.planning.confounds import IGNORED, changed_together, covers, differences, drawing, in_brief
from difflab.studies.report.costs import RowCost

DECLARED, FOLLOWS, UNDECLARED = "declared", "follows", "not declared"


@dataclass(frozen=True)
class Change:
    """A difference of a row, in words.

    Attributes:
        before: In words.
        after: Likewise.
        why: Declared, follows (computed from what is declared), or not declared.
    """

    key: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class RowChanges:
    """What a row changes.

    Attributes:
        together: Declared changes that come together, so that none of them can be given the credit; empty for one alone.
    """

    arm: Arm
    against: Arm
    changes: Sequence[Change]
    together: Sequence[str]


def configurations(evidence: Evidence) -> list[RowChanges]:
    """Of every row that is compared with another one."""
    found = []
    for row in evidence.study.compared():
        arm = evidence.arms[row.name]
        against = evidence.against(arm)
        differing = differences(against.config, arm.config, IGNORED | {"seed"})
        differing += differences(drawing(against.row.draw), drawing(arm.row.draw), frozenset())
        changes = [Change(one.key, in_brief(one.before), in_brief(one.after), _why(arm, one.key)) for one in differing]
        found.append(RowChanges(arm, against, changes, changed_together(row)))
    return found


def _why(arm: Arm, key: str) -> str:
    if any(covers(one, key) for one in arm.row.change):
        return DECLARED
    return FOLLOWS if any(covers(one, key) for one in arm.follows) else UNDECLARED


OF_A_SEED = ("seeds",)
"""Fields that differ between the seeds of a row: across rows they are the same ones."""


@dataclass(frozen=True)
class MetricProtocol:
    """Of one metric.

    Attributes:
        shared: Field -> value that all rows have.
        differing: Field -> row -> value.
        fingerprints: Row -> that of its protocol without `OF_A_SEED`.
    """

    metric: str
    shared: Mapping[str, Value]
    differing: Mapping[str, Mapping[str, Value]]
    fingerprints: Mapping[str, str]


def protocols(evidence: Evidence) -> list[MetricProtocol]:
    """One for each metric that a finished run has."""
    found = []
    for metric in evidence.study.evaluation.metrics:
        firsts = {
            name: next(iter(arm.replicates.values())).measurements[metric].protocol
            for name, arm in evidence.arms.items()
            if arm.replicates
        }
        if firsts:
            found.append(_compared(metric, {name: one.without(*OF_A_SEED) for name, one in firsts.items()}))
    return found


def _compared(metric: str, rows: Mapping[str, Protocol]) -> MetricProtocol:
    shared: dict[str, Value] = {}
    differing: dict[str, dict[str, Value]] = {}
    for field in sorted({field for one in rows.values() for field in one.fields}):
        values = {name: one.fields.get(field, NOT_STATED) for name, one in rows.items()}
        first = next(iter(values.values()))
        if all(value == first for value in values.values()):
            shared[field] = first
        else:
            differing[field] = values
    return MetricProtocol(metric, shared, differing, {name: one.fingerprint for name, one in rows.items()})


NOT_KNOWN = "not known yet"
"""Of a row of which nothing has run."""


@dataclass(frozen=True)
class Setting:
    """One line of the block.

    Attributes:
        name: For people.
        values: What holds -> the rows of which it holds; one value alone holds of all rows.
    """

    name: str
    values: Mapping[str, Sequence[str]]


def setup(arms: Mapping[str, Arm], costs: Sequence[RowCost]) -> list[Setting]:
    """The block's lines.

    Args:
        arms: By row.
        costs: Of the trainings; rows that draw from one share it.
    """
    cost_of = {row: cost for cost in costs for row in cost.row.rows}
    found = []
    for name, tell in _LINES.items():
        values: dict[str, list[str]] = {}
        for row, arm in arms.items():
            values.setdefault(tell(arm, cost_of[row]) or NOT_KNOWN, []).append(row)
        found.append(Setting(name, values))
    return found


def _node(node: Any, *keys: str) -> Any:
    """A value of a resolved configuration; None where it has none."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _class(node: Any) -> str:
    return str(_node(node, "_target_") or "").rpartition(".")[2]


def _data(arm: Arm, cost: RowCost) -> str:
    data, images = arm.config.get("data"), cost.images
    size, channels, classes = (_node(data, key) for key in ("image_size", "channels", "num_classes"))
    parts = [_class(_node(data, "dataset")), f"{images:,} images" if images else ""]
    parts += [
        f"{' × '.join(map(str, [size, size] if isinstance(size, int) else size))} pixels" if size else "",
        {1: "grey", 3: "RGB"}.get(channels, ""),
    ]
    return ", ".join(part for part in [*parts, _classes(classes)] if part)


def _classes(count: int | None) -> str:
    return "" if count is None else f"{count} classes" if count else "without classes"


def _network(arm: Arm, cost: RowCost) -> str:
    network = arm.config.get("network")
    shown = {"width": "width", "channel_mult": "multipliers", "depth": "depth", "dropout": "dropout"}
    values = [
        f"{words} {_plain(_node(network, key))}" for key, words in shown.items() if _node(network, key) is not None
    ]
    return ", ".join([part for part in [_class(network), *values] if part])


def _parameters(arm: Arm, cost: RowCost) -> str:
    return f"{scaled(arm.facts.parameters)}, {scaled(arm.facts.training_flops)}FLOP per image, forward and backward"


def _process(arm: Arm, cost: RowCost) -> str:
    parts = ("schedule", "parameterization", "objective", "variance")
    told = {part: _class(arm.config.get(part)) for part in parts}
    return ", ".join(f"{part} {name}" for part, name in told.items() if name)


def _optimizer(arm: Arm, cost: RowCost) -> str:
    optimizer, schedule = arm.config.get("optimizer"), _class(arm.config.get("lr_schedule"))
    lr, decay = _node(optimizer, "lr"), _node(optimizer, "weight_decay")
    parts = [_class(optimizer), f"learning rate {lr:g}" if isinstance(lr, float) else ""]
    parts += [schedule if schedule != "ConstantLR" else "", f"weight decay {decay:g}" if decay else ""]
    return ", ".join(part for part in parts if part)


def _training(arm: Arm, cost: RowCost) -> str:
    facts, precision = arm.facts, _node(arm.config, "trainer", "precision")
    told = f"{facts.steps:,} steps of {facts.batch} images: {scaled(facts.images)} images".rstrip()
    return f"{told}, precision {precision}" if precision else told


def _ema(arm: Arm, cost: RowCost) -> str:
    tracks = arm.facts.ema_half_life_images
    return ", ".join(f"{track} (half-life {scaled(images)} images)" for track, images in tracks.items()) or "none"


def _sampling(arm: Arm, cost: RowCost) -> str:
    """By the protocol of the first result, else as the training is evaluated."""
    for replicate in arm.replicates.values():
        fields = next(iter(replicate.measurements.values())).protocol.fields
        sampler = str(fields.get("sampler._target_", "")).rpartition(".")[2]
        eta, steps, track = (fields.get(key) for key in ("sampler.eta", "sampler.grid.steps", "track"))
        guidance = dict.fromkeys(key.split(".")[1] for key in fields if key.startswith("guidance."))
        parts = [sampler, f"eta {eta:g}" if isinstance(eta, float) else "", f"{steps} steps" if steps else ""]
        parts += [f"guidance {' + '.join(guidance)}" if guidance else "", f"weights {track}" if track else ""]
        return ", ".join(
            part for part in [*parts, f"{arm.facts.sampling_calls} calls of the network per image"] if part
        )
    steps = _node(arm.config, "sampler", "grid", "steps")
    return ", ".join(part for part in [_class(arm.config.get("sampler")), f"{steps} steps" if steps else ""] if part)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _time(arm: Arm, cost: RowCost) -> str:
    return f"{duration(cost.hours / len(cost.seeds))} a training" if cost.seeds and cost.hours else ""


_LINES: Mapping[str, Callable[[Arm, RowCost], str]] = {
    "Data": _data,
    "Network": _network,
    "Parameters": _parameters,
    "Diffusion": _process,
    "Optimizer": _optimizer,
    "Training": _training,
    "EMA": _ema,
    "Sampling": _sampling,
    "Hardware": lambda arm, cost: cost.hardware,
    "Time": _time,
    "Code": lambda arm, cost: ", ".join(cost.code),
    "Packages": lambda arm, cost: cost.packages,
}
"""Name for people -> what is told."""
