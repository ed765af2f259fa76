"""Studies whose finished runs were never run: plans with results.json files that say what a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from difflab.evaluation import Measurement, Results
from difflab.evaluation.results import recognised
from difflab.metrics import MetricInfo, Protocol
from difflab.studies.planning import Cell, Facts, Plan, RowPlan, Training
from difflab.studies.planning.planning import explained_fields
from difflab.studies.spec import Study, read_study

FACTS = Facts(1_900_000, 2.4e9, 8e8, 25, 128, 1000, {"ema": 5e4})

PROTOCOL = {
    "extractor": {"name": "inception", "fingerprint": "e1"},
    "reference": {"fingerprint": "r1", "images": 50000},
    "sampler": {"_target_": "difflab.samplers.DDIM", "eta": 0.0, "grid": {"steps": 25}},
    "guidance": {"clip": {"_target_": "difflab.guidance.Clip", "low": -1.0, "high": 1.0}},
    "track": "ema",
    "samples": 10000,
}


def study(
    rows: Mapping[str, Any], seeds: Sequence[int] = (0, 1, 2), metrics: Sequence[str] = ("fid",), **more: Any
) -> Study:
    """The first row is the baseline; the others declare what they change, and network.norm if they declare nothing."""
    baseline, *others = rows
    node = {baseline: dict(rows[baseline])} | {name: {"change": ["network.norm"]} | rows[name] for name in others}
    return read_study(
        {
            "question": "Does it help?",
            "baseline": baseline,
            "seeds": list(seeds),
            "experiment": "x",
            "evaluation": {"decides": metrics[0], "metrics": list(metrics)},
            "rows": node,
            **more,
        },
        "invented",
        "study.yaml",
    )


def planned(root: Path, of: Study, **rows: RowPlan) -> Plan:
    """A training for each row and seed; rows that are given are resolved so."""
    trainings, cells = [], []
    for row in of.rows:
        for seed in of.seeds:
            name = f"{of.name}/{row}"
            parent = root / name
            trainings.append(Training(len(trainings), name, seed, f"id{seed}", parent, (f"seed={seed}",), FACTS.steps))
            cells.append(Cell(row, seed, len(trainings) - 1, (), "evaluations/e0"))
    resolved = {name: rows.get(name, RowPlan({}, FACTS)) for name in of.rows}
    found = {
        name: replace(one, explains=explained_fields((*of.rows[name].change, *one.follows)))
        for name, one in resolved.items()
    }
    return Plan(of, root / of.name, found, tuple(trainings), tuple(cells))


def info(metric: str, extractor: str = "inception") -> MetricInfo:
    """What difflab's own metric of this name declares."""
    found = recognised(metric, Protocol({"extractor.name": extractor}))
    assert found is not None, metric
    return found


def measured(metric: str, value: float, seed: int = 0, std_error: float | None = None, **fields: Any) -> Measurement:
    """Drawn from the sampling seeds that belong to a training seed."""
    seeds = f"{seed * 10000} .. {seed * 10000 + 9999}"
    protocol = Protocol.of(PROTOCOL | {"seeds": seeds, "metric": {"name": metric}} | fields)
    samples, replicates = int(protocol.fields["samples"] or 0), 100 if std_error else 0
    return Measurement(metric, value, samples, protocol, std_error, replicates, recognised(metric, protocol))


def finish(
    plan: Plan,
    row: str,
    seed: int,
    measurements: Sequence[Measurement],
    subject: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Writes what evaluate.py would."""
    (cell,) = [cell for cell in plan.cells if (cell.row, cell.seed) == (row, seed)]
    file = plan.results(cell)
    file.parent.mkdir(parents=True)
    file.write_text(
        Results(list(measurements), {"seed": seed, "step": FACTS.steps} | dict(subject)).to_json(), encoding="utf-8"
    )
    return file
