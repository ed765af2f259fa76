"""A plan for a person and for a program: what would be run, what it costs, and what it could show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from difflab.formatting import duration, prefixed
from difflab.runtime.invocation import program
from difflab.studies import execution
from difflab.studies.evidence import gather
from difflab.studies.nodes import CitedRow
from difflab.studies.planning import Plan, RowPlan
from difflab.studies.planning.confounds import changed_together
from difflab.studies.planning.plan import cost_sentence
from difflab.studies.report.costs import read_cost
from difflab.studies.scale import Margin
from difflab.studies.statistics import Pilot, pilot, pilots, power_by_row, power_sentence


def as_json(plan: Plan, rate: float | None) -> dict[str, Any]:
    """Rows with their facts, trainings with commands and directories, cells."""
    rows = {
        name: asdict(row.facts)
        | {
            "label": plan.study.rows[name].label,
            "change": list(plan.study.rows[name].change),
            "total_flops": row.facts.total_flops,
            "evaluation_flops": row.evaluation_flops,
            "images": row.facts.images,
            "matched": list(row.overrides),
            "follows": list(row.follows),
            "hours": None if rate is None else row.facts.total_flops / rate / 3600,
        }
        for name, row in plan.rows.items()
    }
    trainings = [
        {"name": t.name, "seed": t.seed, "command": [*program("train").split(), *t.overrides]}
        | ({} if plan.lacking else {"identity": t.identity, "directory": str(t.directory)})
        for t in plan.trainings
    ]
    cells = [{"row": cell.row, "seed": cell.seed, "training": cell.training} for cell in plan.cells]
    return {
        "study": plan.study.name,
        "seeds": list(plan.study.seeds),
        "rows": rows,
        "cited": {name: _cited(row) for name, row in plan.study.cited.items()},
        "trainings": trainings,
        "unmeasured": plan.unmeasured,
        "cells": cells,
    }


def _cited(row: CitedRow) -> dict[str, Any]:
    published = {
        metric: {"value": target.value, "source": target.source, "confidence": target.confidence}
        for metric, target in row.published.items()
    }
    return {"label": row.label, "published": published}


def plan_table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("row", no_wrap=True)
    table.add_column("changes", overflow="fold")
    for title in ("params", "GFLOP/img", "calls", "steps x batch", "images", "half-life", "training", "evaluation"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in plan.study.order:
        if name in plan.study.cited:
            table.add_row(name, "(cited: nothing runs)")
            continue
        row, facts = plan.rows[name], plan.rows[name].facts
        table.add_row(
            name,
            _changes(plan, name, row),
            prefixed(facts.parameters, 4),
            f"{facts.training_flops / 1e9:.3g}",
            str(facts.sampling_calls),
            f"{facts.steps:,} x {facts.batch}",
            prefixed(facts.images, 4),
            ", ".join(prefixed(one, 4) for one in facts.ema_half_life_images.values()) or "none",
            prefixed(facts.total_flops, 4),
            prefixed(row.evaluation_flops, 4),
        )
    return table


def _changes(plan: Plan, name: str, row: RowPlan) -> str:
    declared = plan.study.rows[name]
    if name == plan.study.baseline:
        return "(baseline)"
    against = "" if declared.against == plan.study.baseline else f" against {declared.against}"
    return ", ".join([*declared.change, *row.overrides]) + against


def plan_notes(plan: Plan, rate: float | None, sd: Margin | None, wanted: Margin | None) -> list[str]:
    """Lines below the table: cost, what changes together, and what these seeds could show.

    Args:
        plan: The plan.
        rate: FLOPs per second of the machine, for hours; None for no estimate.
        sd: Of paired differences; None for that of finished runs.
        wanted: A difference that is to be found.
    """
    study = plan.study
    trained = sum(plan.rows[t.name.rpartition("/")[2]].facts.total_flops for t in plan.trainings)
    drawn = sum(plan.rows[cell.row].evaluation_flops for cell in plan.cells)
    lines = [
        "GFLOP/img: forward and backward; calls: of the network for a sample; half-life: of the EMA, in images; training, evaluation: "
        "FLOP of one (of drawing its samples)",
        cost_sentence(plan)
        + ("" if rate is None else f" {(trained + drawn) / rate / 3600:.3g} hours at {rate:.3g} FLOP/s."),
        *_matched(plan),
        *_forked(plan),
        *_prepared(plan),
    ]
    for name, row in plan.rows.items():
        if together := changed_together(study.rows[name]):
            lines.append(
                f"confounded  {name}: {', '.join(together)} change together; none of them alone gets the credit"
            )
        if row.follows:
            lines.append(f"follows     {name}: {', '.join(row.follows)} (derived from what is declared)")
    lines += [f"cited       {line}" for line in plan.cited]
    lines.append("confounds   none: rows differ in what they declare, and in nothing else")
    if plan.lacking:
        lines.append(f"lacking     hence no run directories: {plan.lacking}")
        lines += [f"unmeasured  {plan.unmeasured}"] if plan.unmeasured else []
    else:
        lines += [*_cost(plan), f"runs        {plan.root.resolve()}"]
        lines += [f"note        {other}" for other in (execution.namesake(plan),) if other]
    return [*lines, _power(plan, sd, wanted)]


def _forked(plan: Plan) -> list[str]:
    """What rows have in common before they differ."""
    fork = plan.study.fork
    if fork is None:
        return []
    there = sum((trunk.directory / "complete.json").exists() for trunk in plan.trunks)
    trained = f", {there} of which are trained" if there else ""
    return [
        f"fork        at step {fork.at:,} of {fork.source}: every row goes on from the run of its seed that has trained the steps before "
        f"({len(plan.trunks)} runs in {plan.trunks[0].parent}{trained})"
    ]


def _prepared(plan: Plan) -> list[str]:
    """What is trained before the rows can be drawn."""
    asked = plan.study.prepare
    if asked is None:
        return []
    (run,) = plan.trunks
    trained = ", which is trained" if (run.directory / "complete.json").exists() else ""
    return [
        f"prepare     {asked.experiment}: {run.steps:,} steps, once for all seeds ({run.directory}{trained}); not counted above"
    ]


def _matched(plan: Plan) -> list[str]:
    """What rows are of the baseline after they were made equal to it."""
    if not any(row.overrides for row in plan.rows.values()):
        return []
    base = plan.rows[plan.study.baseline].facts
    return [
        f"matched     {name}: {', '.join(row.overrides) or 'as it was'}: parameters {row.facts.parameters / base.parameters - 1:+.1%}, "
        f"FLOPs {row.facts.total_flops / base.total_flops - 1:+.1%} against the baseline"
        for name, row in plan.rows.items()
        if name != plan.study.baseline
    ]


def _cost(plan: Plan) -> list[str]:
    """What finished trainings took, and what is left by that measure."""
    costs = [read_cost(t.directory) for t in plan.trainings if (t.directory / "complete.json").exists()]
    timed = [cost.seconds for cost in costs if not cost.untimed]
    if not timed:
        return ["cost        unknown before a training has finished; rate=FLOP/S gives an estimate"]
    mean, left = sum(timed) / len(timed) / 3600, len(plan.trainings) - len(costs)
    return [
        f"cost        {duration(mean)} a training (mean of {len(timed)}, without evaluations); {left} are left: {duration(left * mean)}"
    ]


def _power(plan: Plan, sd: Margin | None, wanted: Margin | None) -> str:
    study = plan.study
    known, by_row = Pilot(sd.reach, None, "as given", sd.scale) if sd is not None else None, dict[str, Pilot]()
    if known is None and not plan.lacking:
        evidence = gather(plan)
        known, by_row = pilot(evidence, study.evaluation.decides), pilots(evidence, study.evaluation.decides)
    if known is None:
        return "power       unknown without a pilot: finish some runs, or give sd=... of paired differences"
    rows = len(study.compared())
    words = power_sentence(known, len(study.seeds), study.alpha, rows, wanted)
    each = power_by_row(by_row, len(study.seeds), study.alpha, rows)
    return f"power       {study.evaluation.decides}: {words} {each}".rstrip()
