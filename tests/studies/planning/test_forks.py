"""A study whose rows go on from a training that they have in common."""

import contextlib
import csv
import io
import sys
from pathlib import Path

import pytest
import torch
import yaml

from difflab.cli.evaluate import evaluate
from difflab.cli.study import main
from difflab.cli.train import train
from difflab.runs import RunDirectory
from difflab.studies import StudyError
from difflab.studies.planning import Plan
from difflab.studies.planning.plan_cache import Request, recall
from difflab.studies.planning.planning import plan_study, planned
from difflab.studies.report.plan import plan_notes
from difflab.studies.spec import load_study
from running import SHORT, SMALL, composed, differences, saved_state, train_small

STUDY = {
    "question": "Is a low learning rate better at the end?",
    "baseline": "as_before",
    "seeds": [0, 1],
    "experiment": "cosine_adagn",
    "overrides": [*SMALL[1:], *SHORT, "optimizer.lr=0.003"],
    "evaluation": {
        "decides": "fd_digits",
        "overrides": ["num_samples=16", "batch_size=16", "replicates=8", "metric=[frechet]", "steps=2"],
    },
    "fork": {"from": "as_before", "at": 2},
    "rows": {
        "as_before": None,
        "low": {"change": ["optimizer.lr"], "overrides": ["optimizer.lr=0.0003"]},
    },
}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "forked" / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")
    return path


def plan_of(folder: Path, **changes: object) -> Plan:
    return plan_study(load_study(written(folder, **changes)), [f"run.root={folder / 'runs'}"], None, "network.width")


def low(*overrides: str, change: tuple[str, ...] = ("optimizer.lr",), **more: object) -> dict:
    return {"rows": {"as_before": None, "low": {"change": [*change], "overrides": [*overrides], **more}}}


def test_a_trunk_is_planned_for_each_seed_and_the_rows_go_on_from_it(tmp_path):
    plan = plan_of(tmp_path)
    assert [(trunk.name, trunk.seed, trunk.steps) for trunk in plan.trunks] == [
        ("forked/trunk", 0, 2),
        ("forked/trunk", 1, 2),
    ]
    assert len({training.identity for training in (*plan.trunks, *plan.trainings)}) == 6
    for training in plan.trainings:
        (trunk,) = [one for one in plan.trunks if one.seed == training.seed]
        assert training.after == trunk.identity
        assert f"init_from={trunk.directory}@2" in training.overrides
        assert "init_from.state=true" in training.overrides
        assert training.steps == 4
    (line,) = [line for line in plan_notes(plan, None, None, None) if line.startswith("fork ")]
    assert "at step 2 of as_before" in line
    assert "(2 runs in " in line


def test_a_plan_with_a_fork_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    file = written(tmp_path)
    request = Request(str(file), file, "plan", frozenset(), {}, (f"run.root={tmp_path / 'runs'}",))
    made = planned(request, [f"run.root={tmp_path / 'runs'}"])
    kept = recall(request, [f"run.root={tmp_path / 'runs'}"])
    assert kept is not None
    assert (kept.trunks, kept.trainings) == (made.trunks, made.trainings)


def test_the_trunk_is_as_long_as_its_row_where_that_counts(tmp_path):
    """A schedule that ends with the training ends with that of the row: the trunk is the row's first steps."""
    plan = plan_of(tmp_path, overrides=[*STUDY["overrides"], "lr_schedule=cosine_decay"])
    assert "lr_schedule.T_max=4" in plan.trunks[0].overrides


def test_a_trunk_may_be_an_experiment(tmp_path):
    plan = plan_of(tmp_path, fork={"from": "cosine_adagn", "at": 2}, **low("optimizer.lr=0.0003"))
    assert plan.trunks[0].overrides[:2] == ("+experiment=cosine_adagn", STUDY["overrides"][0])
    assert {trunk.identity for trunk in plan.trunks} == {trunk.identity for trunk in plan_of(tmp_path).trunks}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fork": {"from": "as_before"}}, "fork lacks 'at'"),
        ({"fork": {"from": "as_before", "at": 0}}, "fork.at = 0: expected the step"),
        ({"fork": {"from": "as_before", "at": 2, "to": 3}}, "unknown key 'to'"),
        ({"fork": {"from": "as_befor", "at": 2}}, "fork.from = as_befor: there is no such row or experiment; did you mean 'as_before'"),
        ({"fork": {"from": "as_before", "at": 4}}, "the rows train 4 steps, and go on before their end"),
        ({"rows": {"as_before": None, "trunk": {"change": ["seed"]}}}, "row trunk: the fork's own runs are called so"),
        (low("network.width=24", change=("network.width",)), "row low: it cannot go on from the trunk at step 2: network.width=24"),
        (low("init_from=somewhere", change=("init_from",)), "row low: init_from=somewhere: the study's fork says"),
    ],
)  # fmt: skip
def test_what_cannot_fork_is_refused_in_a_line(tmp_path, changes, said):
    with pytest.raises(StudyError) as error:
        plan_of(tmp_path, **changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_continue_their_trunks_and_are_paired(tmp_path, monkeypatch, capsys):
    """The row that changes nothing is, to the bit, the run that was not interrupted; the table pairs rows by seed."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    plan = plan_of(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        for training in (*plan.trunks, *plan.trainings):
            train(composed("train", *training.overrides))
        for cell in plan.cells:
            evaluate(composed("evaluate", *plan.evaluation_command(cell)))
    runs = {(training.name, training.seed): training.directory for training in plan.trainings}
    assert all((run / "complete.json").is_file() for run in runs.values())
    whole = train_small(tmp_path / "whole", *SHORT, "optimizer.lr=0.003", "seed=1")
    mine, theirs = (saved_state(run) for run in (RunDirectory(runs["forked/as_before", 1]), whole.run))
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert differences(mine[part], theirs[part]) == []
    other = saved_state(RunDirectory(runs["forked/low", 1]))
    assert not torch.equal(
        other["state_dict"]["denoiser.network.conv_out.weight"], mine["state_dict"]["denoiser.network.conv_out.weight"]
    )
    assert other["optimizer_states"][0]["param_groups"][0]["lr"] == 0.0003
    monkeypatch.setattr(
        sys, "argv", ["study.py", str(plan.study.file), "table", f"run.root={tmp_path / 'runs'}", "format=csv"]
    )
    main()
    table = capsys.readouterr().out
    (row,) = [one for one in csv.DictReader(io.StringIO(table)) if one["row"] == "low" and one["metric"] == "fd_digits"]
    assert row["against"] == "as_before"
    assert row["verdict"]
