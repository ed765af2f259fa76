"""The W&B report, as it would be sent: which runs, which panels, of which metrics; and its way to a server."""

import json
import sys
from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from wandb_workspaces.reports.v2 import internal

from difflab.runs.wandb import WandbError
from difflab.studies.evidence import gather
from difflab.studies.report import Markdown, ablation_table
from difflab.studies.report.wandb_page import report, save_report
from difflab.studies.statistics import verdicts
from fabricated import finish, measured, planned, study
from wandb_stub import serving

LOSSES = ["train/loss", "train/loss_q1", "train/vlb"]
SCORES = ["eval/ema/fid@512", "eval/ema/is@512", "eval/online/fid@512"]


@pytest.fixture
def evidence(tmp_path):
    """base and new at three seeds, and `fast`, which draws from the trainings of base. W&B ids may look like numbers."""
    of = study({"base": {}, "new": {"label": "new norm"}, "fast": {"change": ["draw.steps"], "draw": ["steps=10"]}})
    plan = planned(tmp_path, of)
    runs = [
        replace(training, number=number, identity=identity)
        for number, (training, identity) in enumerate(
            zip(plan.trainings[:6], ["a0", "a1", "a2", "0012345678", "12345e6789", "b2"], strict=True)
        )
    ]
    cells = [replace(cell, training=cell.training % 6, folder=f"evaluations/{cell.row}") for cell in plan.cells]
    plan = replace(plan, trainings=tuple(runs), cells=tuple(cells))
    for row, values in {"base": [10, 11, 12], "new": [8, 9, 10.3], "fast": [13, 14, 15.5]}.items():
        steps = {"sampler.grid.steps": 10} if row == "fast" else {}
        for seed, value in enumerate(values):
            finish(plan, row, seed, [measured("fid", value, seed, **steps)])
    for run in runs:
        log = [
            {"step": 10, "train/images": 1280, "train/images_per_second": 99.0, "train/learning_rate": 1e-4}
            | {"train/gradient_norm": 1.0, "train/bad_steps": 0, "train/loss_scale": 1.0}
            | dict.fromkeys(LOSSES, 0.5),
            {"step": 20, "train/images": 2560, "eval/ema/fid@512": 9.0, "eval/ema/is@512": 3.0},
            {"step": 25, "eval/online/fid@512": 12.0},  # never in a line with train/images
        ]
        (run.directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")
        (run.directory / "samples").mkdir()
        (run.directory / "samples/power_function_00000020.png").touch()
    return gather(plan)


@pytest.fixture
def spec(evidence):
    """What W&B would store."""
    built = report(evidence, verdicts(evidence, "fid"), "lab", "invented")
    viewspec = built._to_model()
    text = viewspec.spec.model_dump_json(by_alias=True, exclude_none=True)
    TypeAdapter(internal.Spec).validate_json(text)
    return json.loads(text)


def grids(spec):
    return [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]


def panels(spec, kind):
    return [
        (grid, panel["config"])
        for grid in grids(spec)
        for panel in grid["panelBankSectionConfig"]["panels"]
        if panel["viewType"] == kind
    ]


def test_the_blocks(spec, evidence):
    headings = [block["children"][0]["text"] for block in spec["blocks"] if block["type"] == "heading"]
    assert headings == [
        "Verdict",
        "Evaluations in training",
        "Over optimizer steps",
        "Over images seen",
        "Losses",
        "Over optimizer steps",
        "Over images seen",
        "Samples",
        "Distance and inception score",
        "What differs between the runs",
    ]
    kinds = [block["type"] for block in spec["blocks"]]
    assert kinds[1] == "table-of-contents"
    (verdict,) = [block["content"] for block in spec["blocks"] if block["type"] == "markdown-block"]
    found = verdicts(evidence, "fid")
    assert verdict.startswith(Markdown().render(ablation_table(evidence, found)))
    assert f"- **new norm**: {found['new'].sentence}" in verdict


def test_the_runs_are_those_of_the_table_and_grouped_by_row(spec):
    for grid in grids(spec):
        (runs,) = grid["runSets"]
        assert "project" not in runs  # the report's
        (chosen,) = runs["filters"]["filters"]
        assert (chosen["key"], chosen["op"]) == ({"section": "run", "name": "name"}, "IN")
        assert chosen["value"] == ["a0", "a1", "a2", "0012345678", "12345e6789", "b2"]
        grouped = any(panel["viewType"] in ("Run History Line Plot", "Scatter Plot") for panel in of(grid))
        assert runs["grouping"] == ([{"section": "config", "name": "row.value"}] if grouped else [])


def of(grid):
    return grid["panelBankSectionConfig"]["panels"]


def test_every_loss_and_score_is_drawn_over_steps_and_over_images_it_was_logged_with(spec):
    lines = [config for _, config in panels(spec, "Run History Line Plot")]
    drawn = {axis: [line["metrics"] for line in lines if line["xAxis"] == axis] for axis in ("_step", "train/images")}
    assert drawn["_step"] == [[name] for name in SCORES + LOSSES]
    assert drawn["train/images"] == [[name] for name in SCORES[:2] + LOSSES]
    assert len(lines) == len(drawn["_step"]) + len(drawn["train/images"])
    for line in lines:
        assert (line["groupBy"], line["groupAgg"], line["groupArea"]) == ("row.value", "mean", "stderr")


def test_samples_tradeoff_and_differences(spec):
    ((_, media),) = panels(spec, "Media Browser")
    assert media["mediaKeys"] == ["samples/power_function"]
    ((_, scatter),) = panels(spec, "Scatter Plot")
    assert (scatter["xAxis"], scatter["yAxis"]) == ("summary:eval/ema/is@512", "summary:eval/ema/fid@512")
    assert len(panels(spec, "Run Comparer")) == 1


def test_panels_of_a_grid_do_not_overlap(spec):
    for grid in grids(spec):
        places = [panel["layout"] for panel in of(grid)]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def test_rows_of_one_training_are_said(spec):
    said = [
        child.get("text") for block in spec["blocks"] if block["type"] == "paragraph" for child in block["children"]
    ]
    assert "base, fast draw from one training: its runs are those of base." in said


def test_a_study_without_results_has_nothing_to_report(tmp_path):
    empty = gather(planned(tmp_path, study({"base": {}, "new": {}})))
    with pytest.raises(ValueError, match="no finished run"):
        report(empty, verdicts(empty, "fid"), "lab", "invented")


def test_a_missing_package_says_what_to_install(evidence, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(WandbError, match=r"pip install .*\[wandb\]"):
        save_report(evidence, verdicts(evidence, "fid"), None, "invented")


def test_without_a_login_nothing_is_read(evidence, monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setattr("difflab.studies.report.wandb_page.logged", lambda runs: pytest.fail("work was done"))
    with pytest.raises(WandbError, match="wandb login"):
        save_report(evidence, verdicts(evidence, "fid"), None, "invented")


@pytest.mark.parametrize("entity", ["lab", None])
def test_it_is_saved_where_it_was_asked_for(entity, evidence, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        url = save_report(evidence, verdicts(evidence, "fid"), entity, "invented")
        (sent,) = [variables for name, variables in server.asked if name == "upsertView"]
    assert (sent["entityName"], sent["projectName"], sent["type"]) == ("lab", "invented", "runs")
    assert sent["displayName"] == "invented: Does it help?"
    assert len(panels(json.loads(sent["spec"]), "Run History Line Plot")) == 11
    assert url.startswith(f"{server.url}/lab/invented/reports/")


def test_a_refusal_is_one_line(evidence, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        server.refuses.add("viewer")
        with pytest.raises(WandbError, match=r"refused.*credentials"):
            save_report(evidence, verdicts(evidence, "fid"), None, "invented")
