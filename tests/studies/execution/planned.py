"""Plans by hand, without configurations: what execution needs of them."""

import json
from dataclasses import replace
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf

from difflab.config.unchosen import drop_unchosen
from difflab.runs import identity
from difflab.studies.execution import StudyFolder
from difflab.studies.planning.plan import Cell, Facts, Plan, RowPlan, Training
from difflab.studies.spec import read_study
from running import composed

FACTS = Facts(1000, 3e6, 1e6, 4, 32, 100, {})


def plan(root: Path, rows: dict[str, list[str]], seeds=(0,), steps=100, shared=(), common=(), evaluation=()) -> Plan:
    """A training per row and seed, of the identity <row>-<seed>, or what `identified` finds.

    Args:
        root: Where runs and the study's folder go.
        rows: Name -> overrides of train.py.
        seeds: Of every row.
        steps: Of every training.
        shared: Rows that draw from the training of the first one.
        common: Overrides of every row.
        evaluation: Overrides of every evaluation.
    """
    node = {
        "question": "?",
        "baseline": next(iter(rows)),
        "seeds": list(seeds),
        "experiment": "x",
        "evaluation": {"decides": "fid"},
        "rows": {name: ({} if i == 0 else {"change": ["network"]}) for i, name in enumerate([*rows, *shared])},
    }
    study = read_study(node, "study", "here")
    home = root / "study"
    trainings, cells = [], []
    for seed in seeds:
        for name, overrides in rows.items():
            line = (*common, *overrides, f"seed={seed}", f"run.root={root}", f"run.name=study/{name}")
            number = len(trainings)
            trainings.append(Training(number, f"study/{name}", seed, f"{name}{seed}", home / name, line, steps))
            cells.append(Cell(name, seed, number, tuple(evaluation), "evaluations/e0"))
        first = len(trainings) - len(rows)
        for k, name in enumerate(shared, 1):
            cells.append(Cell(name, seed, first, (*evaluation, f"first_seed={k * 1000}"), f"evaluations/e{k}"))
    facts = {name: RowPlan({}, FACTS) for name in [*rows, *shared]}
    return Plan(study, home, facts, tuple(trainings), tuple(cells))


def start(run: Path, outcome: str | None = None, started: str = "2026-01-01T00:00:00+00:00", rows: int = 0) -> None:
    """What a start of training leaves: provenance, and a metrics log of 2 steps a line at 64 images a second."""
    run.mkdir(parents=True, exist_ok=True)
    ended = {} if outcome is None else {"outcome": outcome, "ended": "2026-01-01T01:00:00+00:00"}
    (run / "provenance.json").write_text(json.dumps([{"started": started} | ended]), encoding="utf-8")
    lines = [{"step": 2 * i + 2, "train/loss": 0.5, "train/images_per_second": 64.0} for i in range(rows)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def complete(run: Path, *folders: str) -> None:
    """A training that is complete, with results in some folders."""
    start(run, "complete", rows=50)
    (run / "complete.json").write_text("{}", encoding="utf-8")
    for folder in folders:
        (run / folder).mkdir(parents=True, exist_ok=True)
        (run / folder / "results.json").write_text(json.dumps({"subject": {}, "measurements": []}), encoding="utf-8")


def forked(study: Plan, ways: str = "ok") -> Plan:
    """The study whose trainings go on from one, which is trained in these ways."""
    first = study.trainings[0]
    words = (f"ways={ways}", "seed=0", f"run.root={study.root.parent}", "run.name=study/trunk")
    trunk = replace(first, name="study/trunk", identity="trunk0", parent=study.root / "trunk", overrides=words)
    return replace(study, trunks=(trunk,), trainings=tuple(replace(one, after="trunk0") for one in study.trainings))


def folder_of(plan: Plan) -> StudyFolder:
    return StudyFolder(plan.root.resolve())


def identified(plan: Plan) -> Plan:
    """The plan with the identities that its runs have."""
    found = []
    for training in plan.trainings:
        config = composed("train", *training.overrides)
        drop_unchosen(config)
        OmegaConf.resolve(config)
        data, evaluation = instantiate(config.data, _convert_="all"), instantiate(config.evaluation)
        name = identity(OmegaConf.to_container(config, resolve=True), data.fingerprint, evaluation.fingerprint)
        found.append(replace(training, identity=name))
    return replace(plan, trainings=tuple(found))
