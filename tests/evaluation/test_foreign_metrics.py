"""Metrics of another package on the whole way: measured, gathered, judged, drawn. Their declaration alone says which way is better."""

import contextlib
import importlib
import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from difflab.cli.evaluate import evaluate
from difflab.data import Digits
from difflab.evaluation import Point, Results, choose, draw_front, on_front
from difflab.evaluation.classification import HeldOutAccuracy
from difflab.pages import looks
from difflab.studies.evidence import gather
from difflab.studies.report import Markdown, ablation_table
from difflab.studies.report.budgets import tradeoffs
from difflab.studies.report.figure import forest
from difflab.studies.spec import StudyError
from difflab.studies.statistics import Outcome, verdicts
from fabricated import planned, study
from foreign import NAMES
from running import composed, train_small

LIKENESS, FAILING = "+metric.mine={_target_: foreign.Likeness}", "+metric.mine={_target_: foreign.Failing}"
METRICS = tuple(f"{name}_digits" for name in NAMES)
NOISE = {"noisy": 60, "clean": 5}
"""Row -> grey levels of noise; the first is the baseline, and the second is better."""

SEEDS = (0, 1, 2, 3)


@pytest.fixture(autouse=True, scope="module")
def _one_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def images(path: Path, noise: float, seed: int, count: int = 100) -> Path:
    """Digits with noise."""
    rng = np.random.default_rng(seed)
    pixels = Digits().images(range(seed * count, (seed + 1) * count)).numpy().transpose(0, 2, 3, 1)
    np.savez(path, arr_0=(pixels + rng.normal(0, noise, pixels.shape)).round().clip(0, 255).astype(np.uint8))
    return path


def evaluated(samples: Path, out: Path, *more: str) -> tuple[Path, str]:
    """results.json, and what evaluate.py printed."""
    said = ("data=digits", "extractor=digits", "accelerator=cpu", "replicates=20", "metric=[frechet]", *more)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluate(composed("evaluate", f"samples={samples}", f"out={out}", *said))
    return out / "results.json", printed.getvalue()


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A study of two rows whose results evaluate.py has written."""
    root = tmp_path_factory.mktemp("study")
    found = planned(root, study({row: {} for row in NOISE}, SEEDS, metrics=METRICS))
    for cell in found.cells:
        samples = images(root / f"{cell.row}{cell.seed}.npz", NOISE[cell.row], cell.seed)
        evaluated(samples, found.results(cell).parent, LIKENESS)
    return found


@pytest.fixture(scope="module")
def evidence(plan):
    return gather(plan)


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_row_is_called_better(evidence, metric):
    info = evidence.info(metric)
    assert info.higher_is_better
    assert info.bounds == (0.0, 1.0)
    assert verdicts(evidence, metric)["clean"].outcome is Outcome.BETTER


def test_tables_reports_fronts_and_choices_have_the_same_direction(evidence, tmp_path):
    answers = verdicts(evidence, METRICS[0])
    table = Markdown().render(ablation_table(evidence, answers))
    assert f"{METRICS[0]} (100) ↑" in table.replace("\\_", "_")
    look = looks(list(evidence.arms), "noisy")
    assert json.loads(forest(evidence, answers, METRICS[0], look).figure)["layout"]["x"]["ends"] == ["worse", "better"]
    (drawn, *_) = tradeoffs(evidence, look)
    assert "higher is better" in json.loads(drawn.figure)["layout"]["x"]["title"]
    noisy, clean = ([evidence.arms[row].replicates[0].measurements[m] for m in METRICS[:2]] for row in NOISE)
    assert choose([noisy[0], clean[0]], [noisy[0], clean[0]]).index == 1
    points = [Point(*both, "line", "") for both in (noisy, clean)]
    assert on_front(points) == [False, True]
    draw_front(points, tmp_path / "front.svg", "front")
    lost = replace(noisy[0], value=math.nan, why="lost")
    assert choose([lost, clean[0]], [noisy[0], clean[0]]).index == 1
    assert on_front([Point(lost, noisy[1], "line", ""), points[1]]) == [False, True]


def test_without_a_word_it_is_asked_for_and_a_study_can_state_it(plan, tmp_path):
    """As results were written before, and as other programs write them."""
    elsewhere = planned(tmp_path, plan.study)
    for cell, there in zip(plan.cells, elsewhere.cells, strict=True):
        content = json.loads(plan.results(cell).read_text(encoding="utf-8"))
        for one in content["measurements"]:
            one.pop("info")
        elsewhere.results(there).parent.mkdir(parents=True)
        elsewhere.results(there).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StudyError) as error:
        gather(elsewhere)
    first = elsewhere.results(elsewhere.cells[0])
    assert str(error.value) == (
        f"row noisy, seed 0: {first} does not say whether a higher realism_digits is better, and it is no metric of difflab. "
        "State it in the study's evaluation, info: {realism_digits: {higher_is_better: true}}"
    )
    for higher, outcome in ((True, Outcome.BETTER), (False, Outcome.WORSE)):
        stated = {metric: {"higher_is_better": higher} for metric in METRICS}
        evaluation = {"decides": METRICS[0], "metrics": list(METRICS), "info": stated}
        of = study({row: {} for row in NOISE}, SEEDS, metrics=METRICS, evaluation=evaluation)
        assert verdicts(gather(replace(elsewhere, study=of)), METRICS[0])["clean"].outcome is outcome
    with pytest.raises(StudyError, match="the better realism_digits is higher, and `info` that it is lower"):
        gather(replace(plan, study=of))
    mixed = gather(plan)
    arm = mixed.arms["clean"]
    one = arm.replicates[2]
    other = replace(one.measurements[METRICS[0]], info=replace(mixed.info(METRICS[0]), higher_is_better=False))
    arm.replicates[2] = replace(one, measurements={**one.measurements, METRICS[0]: other})
    with pytest.raises(StudyError, match=r"not one metric: row noisy, seed 0 .* row clean, seed 2"):
        mixed.info(METRICS[0])


def test_a_wrong_statement_in_a_study_is_named():
    evaluation = {"decides": "realism", "info": {"realism": {"higher_is_better": "up"}}}
    with pytest.raises(StudyError, match=r"study.yaml: evaluation.info.realism.higher_is_better = 'up'"):
        study({"a": {}}, metrics=("realism",), evaluation=evaluation)
    with pytest.raises(StudyError, match="unknown key 'fid'"):
        study({"a": {}}, evaluation={"decides": "realism", "info": {"fid": {"higher_is_better": True}}})


def test_files_that_do_not_say_it_are_compared_with_a_word(plan, capsys):
    files = []
    for cell in plan.cells[:: len(SEEDS)]:
        content = json.loads(plan.results(cell).read_text(encoding="utf-8"))
        for one in content["measurements"]:
            one.pop("info")
        file = plan.results(cell).with_name("earlier.json")
        file.write_text(json.dumps(content), encoding="utf-8")
        files.append(str(file))
    words = f"compare=[{','.join(files)}]"
    with pytest.raises(SystemExit):
        evaluate(composed("evaluate", words))
    said = capsys.readouterr().err
    assert f"{files[0]} does not say whether a higher realism_digits is better" in said
    assert "by 'info={realism_digits: {higher_is_better: true}}'" in said
    stated = ", ".join(f"{metric}: {{higher_is_better: true}}" for metric in METRICS)
    evaluate(composed("evaluate", words, f"info={{{stated}}}"))
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "@100" in line}
    assert lines["realism_digits@100"].endswith("higher")
    assert lines["fd_digits@100"].endswith("lower")  # difflab's own, known without a word


def test_a_number_that_is_none_is_written_as_json_and_named(plan, tmp_path):
    file, printed = evaluated(images(tmp_path / "s.npz", 5, 0), tmp_path / "out", FAILING)
    rows = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))[
        "measurements"
    ]
    found = {row["metric"]: row for row in rows}
    assert found["realism_digits"]["value"] is found["accuracy_digits"]["value"] is None
    assert found["realism_digits"]["why"] == "the metric gave nan"
    assert "accuracy_digits@100: no number, since the metric gave 3.2, outside of its bounds 0 .. 1" in printed
    assert Results.from_json(file.read_text(encoding="utf-8"))["fd_digits"].value > 0

    of = study({row: {} for row in NOISE}, SEEDS, metrics=("realism_digits",))
    lost = planned(tmp_path / "lost", of)
    for cell, there in zip(plan.cells, lost.cells, strict=True):
        lost.results(there).parent.mkdir(parents=True)
        is_lost = (cell.row, cell.seed) == ("clean", 2)
        lost.results(there).write_text(
            (file if is_lost else plan.results(cell)).read_text(encoding="utf-8"), encoding="utf-8"
        )
    answers = verdicts(gather(lost), "realism_digits")
    table = Markdown().render(ablation_table(gather(lost), answers))
    assert "seed 2" in answers["clean"].sentence + table


def test_a_metric_that_declares_nothing_is_refused_before_work(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluated(images(tmp_path / "s.npz", 5, 0), tmp_path / "out", "+metric.mine={_target_: foreign.Undeclared}")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "Undeclared" in line
    assert "info" in line
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_not_chosen_as_the_best_by_a_number_that_is_better_when_higher():
    class ByAccuracy(HeldOutAccuracy):
        score = "top1"

    evaluation = ByAccuracy(Digits(), ["ema"], 10, 5)
    with pytest.raises(
        ValueError, match=r"ByAccuracy.score = top1: best.ckpt is the checkpoint at which it is lowest.*, of loss, "
    ):
        evaluation.all_protocols(*[None] * 3)


OWN_METRIC = """
from difflab.metrics import Metric, MetricInfo
from difflab.metrics.needs import Needs


class Brightness(Metric):
    def info(self, identity):
        return {identity.named("brightness"): MetricInfo(higher_is_better=True)}

    def needs(self):
        return Needs()

    def protocol(self):
        return {}

    def measure(self, samples, reference):
        return {"brightness_digits": float(abs(samples.column("features")).mean()) / 10}

    def standard_errors(self, samples, reference, replicates):
        return {}
"""


def test_a_metric_with_other_code_is_another_metric(tmp_path, monkeypatch):
    """The fingerprint of its numbers says so, and they are not compared."""
    monkeypatch.syspath_prepend(tmp_path)
    module, found = tmp_path / "own_brightness.py", []
    samples = images(tmp_path / "samples.npz", 5, 0)
    for tenth in (10, 5):
        sys.modules.pop(module.stem, None)
        module.write_text(OWN_METRIC.replace("/ 10", f"/ {tenth}"), encoding="utf-8")
        importlib.invalidate_caches()
        chosen = "+metric.mine={_target_: own_brightness.Brightness}"
        file, _ = evaluated(samples, tmp_path / f"by {tenth}", chosen)
        found.append(Results.from_json(file.read_text(encoding="utf-8"))["brightness_digits"])
    assert found[1].value == pytest.approx(2 * found[0].value)
    first, second = (one.protocol.fields["metric.code.own_brightness"] for one in found)
    assert first != second
    assert found[0].protocol.fingerprint != found[1].protocol.fingerprint


FROM_TORCHMETRICS = (
    "+metric.theirs={_target_: torchmetrics.image.fid.FrechetInceptionDistance, feature: {_target_: thumbnails.Thumbnails}}",
    "+metric.roughness={_target_: torchmetrics.image.TotalVariation, reduction: mean}",
)


def test_any_metric_of_torchmetrics_is_measured_beside(tmp_path):
    """The FID of torchmetrics on the features of an 8 x 8 picture, and difflab's on the same."""
    samples = images(tmp_path / "s.npz", 20, 0)
    file, _ = evaluated(samples, tmp_path / "out", *FROM_TORCHMETRICS, "extractor=thumbnail")
    found = Results.from_json(file.read_text(encoding="utf-8"))
    ours, theirs, roughness = (found[name] for name in ("fd_thumbnail", "theirs", "roughness"))
    scale = 127.5**2  # of features in 0 .. 255
    assert theirs.value == pytest.approx(ours.value * scale, rel=1e-3)
    assert (theirs.info.higher_is_better, roughness.info.higher_is_better) == (False, False)
    assert theirs.protocol.fields["metric.class"] == "torchmetrics.image.fid.FrechetInceptionDistance"
    assert "reference.fingerprint" in theirs.protocol.fields
    assert "reference.fingerprint" not in roughness.protocol.fields
    assert roughness.protocol.fields["metric.reduction"] == "mean"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("torchmetrics.MeanSquaredLogError", "compares each image with what it was drawn for"),
        ("torchmetrics.text.BLEUScore", "mine compares each image with what it was drawn for"),
        (
            "torchmetrics.MeanMetric",
            "mine: MeanMetric.update takes value; images are evaluated by metrics whose update takes",
        ),
        ("torchmetrics.image.StructuralSimilarityIndexMeasure", "mine compares each image with what it was drawn for"),
        ("torch.nn.Identity", "mine: Identity is no metric"),
    ],
)
def test_what_does_not_look_at_images_is_refused_in_a_line(tmp_path, capsys, chosen, said):
    with pytest.raises(SystemExit):
        evaluated(images(tmp_path / "s.npz", 5, 0), tmp_path / "out", f"+metric.mine={{_target_: {chosen}}}")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_metric_of_torchmetrics_joins_while_a_model_trains(tmp_path):
    theirs = "+evaluation.metrics.tv={_target_: torchmetrics.image.TotalVariation, reduction: mean}"
    run = train_small(tmp_path, theirs, "trainer.max_steps=2", "eval.every=2", "checkpoint.every=2").run
    scores = run.last_scores()
    (found,) = {value for name, value in scores.items() if "/tv" in name}
    assert math.isfinite(found)
    assert found > 0
    (protocol,) = [one for name, one in run.protocols().items() if "/tv" in name]
    assert protocol["samples"] == 40
