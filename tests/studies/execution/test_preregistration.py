"""What a study has fixed before its first result, later changes, looks, and the studies beside it."""

import json
from dataclasses import replace

import pytest

from difflab.studies.execution import look, look_at_runs, preregister, preregistration
from difflab.studies.scale import read_margin
from fabricated import finish, measured, planned, study

ROWS = {"base": {}, "new": {}}


def plan_of(root, name="invented", seeds=(0, 1, 2), **more):
    of = replace(study(ROWS, seeds, metrics=["fid", "is"]), name=name)
    return planned(root, replace(of, **more))


def result(plan, row, seed, fid=10.0):
    finish(plan, row, seed, [measured("fid", fid, seed), measured("is", 5.0, seed)])


def record(plan):
    return json.loads((plan.root / "_study" / "preregistration.json").read_text(encoding="utf-8"))


def test_a_look_counts_where_results_have_come(tmp_path):
    plan = plan_of(tmp_path)
    preregister(plan)
    assert look(plan) == ()  # there is nothing to see
    result(plan, "base", 0)
    first = "First look at this study: a look counts where results have come since the one before."
    assert look(plan) == look(plan) == (first,)
    result(plan, "new", 0)
    assert look(plan)[0].startswith("Second look")
    result(plan, "new", 1)
    assert look(plan)[0].startswith("Third look at this study")
    assert [one["results"] for one in record(plan)["looks"]] == [1, 2, 3]


def test_before_the_first_result_everything_may_be_changed(tmp_path):
    plan = plan_of(tmp_path)
    preregister(plan)
    other = plan_of(tmp_path, alpha=0.01)
    preregister(other)
    assert (record(plan)["fixed"]["alpha"], record(plan)["changes"]) == (0.01, [])


def test_later_changes_are_told_with_what_was_there(tmp_path):
    plan = plan_of(tmp_path)
    preregister(plan)
    for seed in (0, 1, 2):
        result(plan, "base", seed)
    decides = replace(plan.study.evaluation, decides="is")
    now = record(plan)["registered"][:10]
    changed = plan_of(tmp_path, evaluation=decides, margins={"is": read_margin(0.1)})
    said = look(changed)
    assert f"decides was fid until 3 results were there, and is is since {now}." in said
    assert f"margins was none until 3 results were there, and is is 0.1 since {now}." in said
    assert look(changed) == said  # once each
    more = look(plan_of(tmp_path, seeds=(0, 1, 2, 3), evaluation=decides, margins={"is": read_margin(0.1)}))
    assert any(line.startswith("seeds was 0, 1, 2 until 3") and "more frequent than alpha" in line for line in more)
    fewer = look(plan_of(tmp_path, seeds=(0, 1), evaluation=decides))
    assert any(line.startswith("seeds was 0, 1, 2, 3 until 3") and "alpha" not in line for line in fewer)


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "as earlier versions recorded it"])
@pytest.mark.parametrize("looked", [True, False])
def test_seeds_are_added_after_a_look_only_if_there_was_one(tmp_path, monkeypatch, looked, counted):
    times = (f"2026-01-{day:02d}T00:00:00+00:00" for day in range(1, 29))
    monkeypatch.setattr(preregistration, "now", lambda: next(times))
    plan, more = plan_of(tmp_path, seeds=(0, 1)), plan_of(tmp_path, seeds=(0, 1, 2))
    preregister(plan)
    result(plan, "base", 0)
    if looked:
        look(plan)
    preregister(more)
    if not counted:
        kept = record(plan)
        for change in kept["changes"]:
            del change["looks"]
        (plan.root / "_study" / "preregistration.json").write_text(json.dumps(kept), encoding="utf-8")
    for row in ("base", "new"):
        result(more, row, 2)
    (told,) = [line for line in look(more) if line.startswith("seeds")]
    assert told.startswith("seeds was 0, 1 until 1 result was there, and is 0, 1, 2 since 2026-01-0")
    assert ("after a look" in told) == looked


def test_a_study_of_an_earlier_version_says_that_results_came_first(tmp_path):
    plan = plan_of(tmp_path)
    result(plan, "base", 0)
    assert "when 1 result was there already." in look(plan)[1]


def test_studies_beside_it_with_the_same_baseline_are_named_with_the_error_over_all(tmp_path):
    plans = [plan_of(tmp_path, f"try{i}") for i in range(12)]
    for plan in plans:
        preregister(plan)
        result(plan, "base", 0)
    elsewhere = plan_of(tmp_path, "other_metric", evaluation=replace(plans[0].study.evaluation, decides="is"))
    preregister(elsewhere)
    result(elsewhere, "base", 0)
    preregister(plan_of(tmp_path, "not_begun"))
    said = look(plans[0])[-1]
    assert said == (
        "One of 12 studies whose baseline is x and which fid decides (the others: try1, try10, try11, try2, try3, try4 and 5 more): over "
        "all of them the chance of at least one false difference is up to 1 - 0.95^12 = 46 %."
    )
    assert "One of" not in "".join(look(elsewhere))


def test_a_comparison_of_a_studys_runs_is_a_look(tmp_path):
    plan = plan_of(tmp_path)
    preregister(plan)
    result(plan, "base", 0)
    runs = [training.directory for training in plan.trainings[:2]]
    assert look_at_runs(runs) == (
        "invented: First look at this study: a look counts where results have come since the one before.",
    )
    result(plan, "new", 0)
    assert look(plan)[0].startswith("Second look")
    assert look_at_runs([tmp_path / "alone" / "run"]) == ()


@pytest.mark.parametrize("spoil", ["folder", "torn"])
def test_what_cannot_be_written_or_read_is_said_and_stops_nothing(tmp_path, spoil):
    plan = plan_of(tmp_path)
    result(plan, "base", 0)
    if spoil == "folder":
        (plan.root / "_study").write_text("a file, where a folder would have to be made", encoding="utf-8")
    else:
        look(plan)
        (plan.root / "_study" / "preregistration.json").write_text("{", encoding="utf-8")
    (said,) = look(plan)
    assert said.startswith("Looks at this study are not counted: ")
