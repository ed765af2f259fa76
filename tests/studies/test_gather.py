"""Reading what a study's runs have found."""

import json
import time

import pytest

from difflab.studies import StudyError
from difflab.studies.evidence import gather
from difflab.studies.planning import RowPlan
from difflab.studies.report import Markdown, ablation_table
from difflab.studies.statistics import verdicts
from fabricated import FACTS, finish, measured, planned, study

TARGET = {
    "fid_at_700": {"metric": "fid", "value": 15.33, "source": "paper", "confidence": "paper", "at_step": 700},
    "fid_at_1200": {"metric": "fid", "value": 13.21, "source": "paper", "confidence": "paper", "at_step": 1200},
}


@pytest.fixture
def finished(tmp_path):
    """Two rows, three seeds, fid and is."""
    plan = planned(tmp_path, study({"base": {}, "new": {}}, metrics=["fid", "is"]))
    for k, row in enumerate(plan.rows):
        for seed in (0, 1, 2):
            finish(plan, row, seed, [measured("fid", 10.0 - k + seed, seed, 0.1), measured("is", 5.0 + k, seed)])
    return plan


def of(plan, row, seed):
    return plan.results(next(cell for cell in plan.cells if (cell.row, cell.seed) == (row, seed)))


def test_what_was_found_is_there_by_row_and_seed(finished):
    evidence = gather(finished)
    assert evidence.arms["new"].values("fid") == {0: 9.0, 1: 10.0, 2: 11.0}
    assert evidence.arms["base"].values("is") == {0: 5.0, 1: 5.0, 2: 5.0}
    assert evidence.arms["new"].missing == ()
    assert evidence.arms["new"].replicates[1].run == finished.trainings[4].directory
    assert evidence.against(evidence.arms["new"]) is evidence.arms["base"]


def test_seeds_without_results_are_missing(finished):
    of(finished, "new", 1).unlink()
    arm = gather(finished).arms["new"]
    assert arm.missing == (1,)
    assert list(arm.replicates) == [0, 2]


def test_the_newest_attempt_counts(finished):
    old = of(finished, "new", 1)
    again = old.parents[2].with_name("id1-2") / "evaluations" / "e0" / "results.json"
    again.parent.mkdir(parents=True)
    again.write_text(old.read_text(encoding="utf-8"), encoding="utf-8")
    assert gather(finished).arms["new"].replicates[1].run.name == "id1-2"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"sampler.grid.steps": 25', '"sampler.grid.steps": 50', 1),
        lambda text: text.replace('"value": 10.0', '"value": 9.0'),
        lambda text: text.replace('"value": 10.0', '"value": "good"'),
        lambda text: text.replace('"subject": {', '"subject": 3, "other": {'),
    ],
    ids=["torn", "empty", "no results", "other protocol", "other value", "no number", "no subject"],
)
def test_a_file_that_is_torn_or_changed_names_row_seed_and_file(finished, spoil):
    file = of(finished, "new", 1)
    before = file.read_text(encoding="utf-8")
    file.write_text(spoil(before), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != before
    with pytest.raises(StudyError, match=r"row new, seed 1: .*results\.json cannot be used.*launch again") as error:
        gather(finished)
    assert str(file) in str(error.value)


def test_bytes_that_are_no_text_are_an_error_too(finished):
    of(finished, "new", 1).write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(StudyError, match="row new, seed 1"):
        gather(finished)


def test_a_metric_that_was_not_measured_is_named_with_those_that_were(tmp_path):
    plan = planned(tmp_path, study({"base": {}}, metrics=["fid", "recall"]))
    finish(plan, "base", 2, [measured("fid", 1.0, 2), measured("is", 1.0, 2)])
    with pytest.raises(StudyError, match=r"row base, seed 2: .* lacks recall; there are fid, is\."):
        gather(plan)


def test_one_metric_under_two_protocols_is_refused(tmp_path):
    plan = planned(tmp_path, study({"base": {}}))
    finish(plan, "base", 0, [measured("fid", 1.0), measured("fid", 2.0, track="online")])
    with pytest.raises(StudyError, match=r"row base, seed 0: .* has fid under 2 protocols"):
        gather(plan)


@pytest.mark.parametrize(("key", "value"), [("seed", 7), ("step", 500)])
def test_results_of_another_run_or_of_an_earlier_step_are_refused(tmp_path, key, value):
    plan = planned(tmp_path, study({"base": {}}))
    finish(plan, "base", 0, [measured("fid", 1.0)], {key: value})
    with pytest.raises(StudyError, match=f"row base, seed 0: .* at {key} {value}, and the study asks for"):
        gather(plan)


def test_a_diverged_number_is_read_as_it_is(tmp_path):
    plan = planned(tmp_path, study({"base": {}}))
    finish(plan, "base", 0, [measured("fid", float("nan"), 0, 0.1)])
    value = gather(plan).arms["base"].values("fid")[0]
    assert value != value


@pytest.mark.parametrize(("steps", "value"), [(700, 15.33), (1200, 13.21), (1000, 13.21), (10, 15.33), (9000, 13.21)])
def test_published_numbers_are_those_of_the_nearest_step(tmp_path, steps, value):
    from dataclasses import replace

    row = RowPlan({"target": TARGET}, replace(FACTS, steps=steps))
    plan = planned(tmp_path, study({"base": {}}), base=row)
    assert gather(plan).arms["base"].published["fid"].value == value


def test_a_rows_own_published_number_comes_first(tmp_path):
    own = {"published": {"fid": {"value": 3.0, "source": "table 9", "confidence": "secondary"}}}
    plan = planned(tmp_path, study({"base": own}), base=RowPlan({"target": TARGET}, FACTS))
    assert gather(plan).arms["base"].published["fid"].source == "table 9"


def test_a_published_number_without_a_source_names_the_row(tmp_path):
    target = {"fid": {"value": 1.0, "confidence": "paper"}}
    plan = planned(tmp_path, study({"base": {}}), base=RowPlan({"target": target}, FACTS))
    with pytest.raises(StudyError, match=r"row base: target\.fid lacks source"):
        gather(plan)


def test_a_thousand_cells_take_seconds(tmp_path):
    of_rows = {f"r{k}": {} for k in range(50)}
    plan = planned(tmp_path, study(of_rows, seeds=range(20), metrics=["fid", "is", "precision", "recall"]))
    for cell in plan.cells:
        found = [measured(m, 0.5, cell.seed, 0.1) for m in plan.study.evaluation.metrics]
        file = finish(plan, cell.row, cell.seed, found)
    assert len(json.loads(file.read_text(encoding="utf-8"))["measurements"]) == 4
    before = time.process_time()
    assert len(gather(plan).arms) == 50
    assert time.process_time() - before < 5


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_a_diverged_training_counts_and_a_failed_one_is_missing(finished, outcome):
    """A full disk says nothing of a row; a loss that went to infinity does."""
    file = of(finished, "new", 1)
    file.unlink()
    run = file.parents[2]
    start = {"started": "2026-01-01T00:00:00+00:00", "outcome": outcome}
    (run / "provenance.json").write_text(json.dumps([start]), encoding="utf-8")
    evidence = gather(finished)
    arm, verdict = evidence.arms["new"], verdicts(evidence, "fid")["new"]
    if outcome == "failed":
        assert (arm.missing, arm.diverged, verdict.outcome) == ((1,), (), "interim")
    else:
        assert (arm.missing, arm.diverged, verdict.outcome) == ((), (1,), "inconclusive")
        assert "diverged or gave no number at seed 1" in verdict.sentence
        assert "| 2 of 3 |" in Markdown().render(ablation_table(evidence, verdicts(evidence, "fid")))


@pytest.mark.parametrize("seed", [-1, 1.5, True, "abc"])
def test_a_studys_seeds_are_those_that_a_training_takes(seed):
    with pytest.raises(StudyError, match="expected a list of whole numbers from 0 on"):
        study({"base": {}, "new": {}}, seeds=[0, seed])
