"""The section of a report on rows that differ in noise, loss or times."""

import re
from dataclasses import replace

from report_study import evidence, states, study

from difflab.explaining import Rival, compared
from difflab.pages import Look, looks
from difflab.studies.report import write_report

COSINE, LINEAR = ({"_target_": f"difflab.schedules.{name}", "steps": 50} for name in ("cosine", "linear"))
REST = {
    "parameterization": {"_target_": "difflab.parameterizations.Epsilon"},
    "objective": {
        "_target_": "difflab.objectives.Simple",
        "time_sampler": {"_target_": "difflab.objectives.time_samplers.Uniform"},
        "weighting": {"_target_": "difflab.objectives.weightings.Unweighted"},
    },
    "sampler": {
        "_target_": "difflab.samplers.DDIM",
        "grid": {"_target_": "difflab.samplers.grids.UniformGrid", "steps": 25},
    },
}
LOOK = Look("row-1", "solid", "circle")


def rival(label, schedule=LINEAR, draw=None, **other):
    return Rival(label, LOOK, {"schedule": schedule, **REST, **other}, draw or {})


def test_rows_with_the_same_noise_are_no_section():
    assert compared([rival("a"), rival("b")]) is None
    eta = {**REST["sampler"], "eta": 1.0}
    assert compared([rival("a"), rival("b", sampler=eta)]) is None


def test_rows_that_are_alike_are_one_line():
    found = compared([rival("a"), rival("b"), rival("c", COSINE), *(rival(f"d{i}", COSINE) for i in range(4))])
    assert found is not None
    names = {name for one in found.plots for name in re.findall(r'"name":"([^"]+)"', one.figure)}
    assert names == {"a, b", "c, d0, d1 + 2"}


def test_other_steps_of_drawing_are_another_grid():
    found = compared([rival("a"), rival("b", draw={"steps": "10"})])
    assert found is not None
    (grid,) = [one for one in found.plots if one.name == "noise-grid"]
    assert "a: 25 steps; b: 10 steps" in grid.says
    (alpha,) = [one for one in found.plots if one.name == "noise-alpha"]
    assert re.findall(r'"name":"([^"]+)"', alpha.figure) == ["a, b"]  # one line, which hides none


def test_what_cannot_be_built_is_left_out_with_a_note():
    """No schedule at all; one that is no part of difflab, which is not imported; a loss without a weight."""
    foreign = {"_target_": "os.getcwd"}
    other = {"_target_": "difflab.objectives.NoisyClassification", "time_sampler": REST["objective"]["time_sampler"]}
    found = compared([rival("a"), rival("none", None), rival("foreign", foreign), rival("classifier", objective=other)])
    assert found is not None
    assert [note.partition(":")[0] for note in found.notes] == ["none", "foreign"]
    assert found.without == ("classifier",)
    assert compared([rival("none", None), rival("foreign", foreign)]) is None


def test_the_report_shows_them(tmp_path):
    asked = study()
    found = evidence(tmp_path, asked)
    arms = {
        name: replace(arm, config={**arm.config, **REST, "schedule": COSINE if name == "cosine" else LINEAR})
        for name, arm in found.arms.items()
    }
    look = looks(list(arms), asked.baseline)
    noise = compared([Rival(arm.row.label, look[name], arm.config, {}) for name, arm in arms.items()])
    path = write_report(replace(found, arms=arms), states(tmp_path, asked), tmp_path / "report.html", noise=noise)
    page = path.read_text(encoding="utf-8")
    assert '<section id="noise"' in page
    assert {"figure-noise-log_snr", "figure-noise-weight"} <= set(re.findall(r'id="(figure-[\w-]+)"', page))
    assert "Cosine schedule" in re.search(r'id="figure-noise-weight">(.*?)</script>', page)[1]
    plain = write_report(found, states(tmp_path, asked), tmp_path / "plain.html").read_text(encoding="utf-8")
    assert '<section id="noise"' not in plain
