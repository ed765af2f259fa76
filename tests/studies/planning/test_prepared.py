"""A study that trains a classifier before its rows are drawn, guided by it."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from difflab.cli.evaluate import evaluate
from difflab.cli.study import main
from difflab.cli.train import train
from difflab.studies import StudyError
from difflab.studies.execution import states
from difflab.studies.execution.tasks import freeze
from difflab.studies.planning import Plan
from difflab.studies.planning.planning import plan_study
from difflab.studies.report.plan import plan_notes
from difflab.studies.spec import load_study
from running import SHORT, SMALL, composed

STUDY = {
    "question": "Does guidance help?",
    "baseline": "none",
    "seeds": [0, 1],
    "experiment": "cosine_adagn",
    "overrides": [*SMALL[1:], *SHORT],
    "prepare": {
        "experiment": "digits_classifier",
        "overrides": [
            *(word for word in (*SMALL, *SHORT) if word.startswith("schedule")),  # that of the model it guides
            "network.width=16", "trainer.max_steps=2", "eval.every=2", "data.batch_size=8", "data.num_workers=0"],
    },
    "evaluation": {
        "decides": "fd_digits",
        "overrides": ["num_samples=16", "batch_size=16", "replicates=8", "metric=[frechet]", "steps=2"],
    },
    "rows": {
        "none": None,
        "guided": {
            "change": ["draw.guidance"],
            "draw": ["guidance=[classifier,clip]", "guidance.classifier.classify.checkpoint=${prepared}"],
        },
    },
}  # fmt: skip


def plan_of(folder: Path, **changes: object) -> Plan:
    path = folder / "helped" / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")
    return plan_study(load_study(path), [f"run.root={folder / 'runs'}", "logger=none"], None, "network.width")


def test_it_comes_before_every_training_and_its_run_is_what_rows_draw_with(tmp_path):
    plan = plan_of(tmp_path)
    (prepared,) = plan.trunks
    assert (prepared.name, prepared.seed, prepared.steps) == ("helped/prepared", 0, 2)
    assert {training.after for training in plan.trainings} == {prepared.identity}
    assert not any(word.startswith("optimizer") or "cosine_adagn" in word for word in prepared.overrides)
    guided = [cell for cell in plan.cells if cell.row == "guided"]
    for cell in guided:
        assert f"guidance.classifier.classify.checkpoint={prepared.directory.resolve()}" in cell.overrides
    assert freeze(plan, {})[prepared.identity].evaluations == ()
    assert {cell.state for cell in states(plan)} == {"missing"}
    (line,) = [line for line in plan_notes(plan, None, None, None) if line.startswith("prepare ")]
    assert "digits_classifier: 2 steps, once for all seeds" in line
    moved = plan_of(tmp_path / "elsewhere")
    assert [cell.folder for cell in moved.cells] == [cell.folder for cell in plan.cells], "results move with their runs"
    other = plan_of(
        tmp_path, prepare={**STUDY["prepare"], "overrides": ["network.width=16", "trainer.max_steps=3", "eval.every=3"]}
    )
    changed = {cell.row for cell, before in zip(other.cells, plan.cells, strict=True) if cell.folder != before.folder}
    assert changed == {"guided"}, "another classifier is another result"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prepare": {"overrides": []}}, "prepare lacks 'experiment'"),
        ({"prepare": {"experiment": "nothing"}}, "prepare: "),
        ({"prepare": {**STUDY["prepare"], "fork": 1}}, "unknown key 'fork'"),
        ({"fork": {"from": "none", "at": 1}}, "leave one out"),
        ({"rows": {"none": None, "prepared": {"change": ["seed"]}}}, "row prepared: the run that is prepared is called so"),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_refused_in_a_line(tmp_path, changes, said):
    with pytest.raises(StudyError) as error:
        plan_of(tmp_path, **changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_row_that_names_what_nothing_prepares_is_refused(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in STUDY.items() if key != "prepare"}), encoding="utf-8")
    with pytest.raises(StudyError, match="nothing is prepared: give `prepare`"):
        load_study(file)


@pytest.mark.slow
def test_the_rows_are_guided_by_what_was_prepared(tmp_path, monkeypatch):
    """By launch, in the order of its tasks, and by hand once more from the same plan."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    plan = plan_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["study.py", str(plan.study.file), "launch", "--wait", f"run.root={tmp_path / 'runs'}", "logger=none"]
    monkeypatch.setattr(sys, "argv", words)
    with contextlib.redirect_stdout(io.StringIO()):
        main()
    assert {cell.state for cell in states(plan)} == {"done"}
    found = {}
    for cell in plan.cells:
        results = json.loads(plan.results(cell).read_text(encoding="utf-8"))
        found[cell.row, cell.seed] = results["measurements"][0]["value"]
    assert found["none", 0] != found["guided", 0]
    (again,) = [cell for cell in plan.cells if (cell.row, cell.seed) == ("guided", 1)]
    plan.results(again).unlink()
    with contextlib.redirect_stdout(io.StringIO()):
        for training in (*plan.trunks, *plan.trainings):
            train(composed("train", *training.overrides))
        evaluate(composed("evaluate", *plan.evaluation_command(again), "overwrite=true"))
    results = json.loads(plan.results(again).read_text(encoding="utf-8"))
    assert results["measurements"][0]["value"] == found["guided", 1]
