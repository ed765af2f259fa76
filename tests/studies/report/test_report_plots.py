import json
from dataclasses import replace

import numpy as np
import pytest
from report_study import evidence, states, study
from scipy import stats

from difflab.pages.figure import COLOURS, looks, script_safe
from difflab.studies.history import History, read_history
from difflab.studies.report.budgets import at_the_end, lines, speedups, time_losses, tradeoffs
from difflab.studies.report.costs import trained
from difflab.studies.report.curves import POINTS, curves, ordered, widest
from difflab.studies.report.figure import forest, numbers, typeset
from difflab.studies.scale import RATIO
from difflab.studies.statistics import paired_difference, verdicts
from fabricated import info


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root, asked = tmp_path_factory.mktemp("plots"), study()
    gathered = evidence(root, asked, grids=False)
    look = looks(list(gathered.arms), "base")
    rows = trained(gathered, states(root, asked), look)
    histories = {row.rows[0]: {seed: read_history(run) for seed, run in row.runs.items()} for row in rows}
    return gathered, look, rows, histories


def test_rows_that_draw_from_one_training_are_one(found):
    assert [row.rows for row in found[2]] == [("base", "ddim10", "ddim50"), ("cosine",), ("adagn",), ("wide",)]


def test_bands_are_students_over_seeds(found):
    _, _, rows, histories = found
    shown = curves(rows, histories, "base", "fid", 0.05)
    assert next(iter(shown["metrics"])) == "eval/warm_up/fid@1k"
    (cosine,) = [one for one in shown["metrics"]["train/loss"]["curves"] if one["row"] == 1]
    values = np.array([histories["cosine"][seed].columns["train/loss"] for seed in (0, 1, 2)])
    reach = stats.sem(values) * stats.t.ppf(0.975, 2)
    np.testing.assert_allclose(cosine["mean"], values.mean(0), rtol=1e-4)
    np.testing.assert_allclose(cosine["high"], values.mean(0) + reach, rtol=1e-4)
    np.testing.assert_allclose(cosine["low"], values.mean(0) - reach, rtol=1e-3)
    assert cosine["step"] == histories["cosine"][0].steps.tolist()
    assert shown["rows"][1]["per_step"] == {"images": 128, "flops": 128 * 2.1e8}
    np.testing.assert_allclose(cosine["hours"][-1], 128_000 / 600 / 3600, rtol=0.02)


def test_long_curves_are_thinned_to_their_ends(found):
    row = found[2][1]
    steps = np.arange(1.0, 5001.0)
    histories = {"cosine": {0: History(row.runs[0], steps, {"train/loss": 1 / steps})}}
    (curve,) = curves([row], histories, "cosine", "fid", 0.05)["metrics"]["train/loss"]["curves"]
    assert len(curve["step"]) == POINTS
    assert (curve["step"][0], curve["step"][-1]) == (1, 5000)
    assert "low" not in curve  # one seed has no band


def test_the_track_that_is_judged_comes_first():
    names = {
        "train/loss",
        "train/images",
        "eval/a/fid@1k",
        "eval/ema/fid@1k",
        "eval/ema/is@1k",
        "eval/a/is@1k",
        "train/vlb",
    }
    shown = ["eval/ema/fid@1k", "eval/a/fid@1k", "eval/ema/is@1k", "eval/a/is@1k", "train/loss", "train/vlb"]
    assert ordered(names, "fid", "ema") == shown


def test_speedups_follow_the_weights_that_are_judged(found):
    _, _, rows, histories = found
    other = {"eval/a/fid@1k": np.full(40, 1e9)}  # an average that nobody asked for
    seen = {
        row: {seed: replace(one, columns={**other, **one.columns}) for seed, one in seeds.items()}
        for row, seeds in histories.items()
    }
    answers = speedups(rows, seen, "fid", info("fid"), 0.05)
    assert [one.row.rows[0] for one in answers] == ["cosine", "adagn", "wide"]
    assert {one.column for one in answers} == {"eval/warm_up/fid@1k"}
    cosine = answers[0].by["steps"]
    expected = []
    for seed in (0, 1, 2):  # the fabricated curve is fid (1 + 5 exp(-step / 250)), evaluated at four steps
        steps, mine = histories["cosine"][seed].curve("eval/warm_up/fid@1k")
        goal = histories["base"][seed].curve("eval/warm_up/fid@1k")[1][-1]
        expected.append(1000 / np.interp(-goal, -mine, steps))
    assert cosine.ratio == pytest.approx(stats.gmean(expected))
    assert answers[0].by["FLOPs"].ratio == pytest.approx(cosine.ratio)
    assert answers[2].by["steps"].ratio is None  # it does not reach the baseline at each seed
    lost = [replace(row, arm=replace(row.arm, diverged=(1,))) if "cosine" in row.rows else row for row in rows]
    spoilt = speedups(lost, seen, "fid", info("fid"), 0.05)[0].by["steps"]
    assert spoilt.ratio is None  # what a diverged run had reached it did not keep
    assert "at 1 of 3 seeds (1)" in spoilt.sentence


def test_a_seed_that_has_just_begun_does_not_cut_the_others_short():
    whole, half, begun = (np.arange(1.0, end) for end in (101, 51, 3))
    assert widest({0: whole, 1: whole, 2: begun}) == [0, 1]
    assert widest({0: whole, 1: half, 2: half}) == [0, 1, 2]
    assert widest({}) == []


def test_the_forest_has_the_verdicts_numbers(found):
    gathered, look, *_ = found
    answers = verdicts(gathered, "fid")
    drawn = forest(gathered, answers, "fid", look)
    assert drawn is not None
    figure = json.loads(drawn.figure)
    points, spans, seeds = ([t for t in figure["data"] if t["shows"] == kind] for kind in ("points", "span", "seeds"))
    for verdict, point, span, dots in zip(answers.values(), points, spans, seeds, strict=True):
        assert verdict.difference is not None
        assert point["x"] == [verdict.difference.value]
        assert (*span["xlow"], *span["xhigh"]) == verdict.difference.limits
        assert dots["x"] == list(verdict.difference.by_seed.values())
        assert [f"seed {seed}:" in told for seed, told in zip((0, 1, 2), dots["hover"], strict=True)] == [True] * 3
    layout = figure["layout"]
    assert layout["shade"] == pytest.approx((100 / 1.06 - 100, 6))
    assert layout["x"]["title"] == "difference in FID (1k), per cent, with 95 % interval"
    assert (layout["x"]["key"], layout["x"]["ends"]) == ("fid", ["better", "worse"])  # a lower distance is better


def test_no_interval_and_no_axis_leaves_what_a_share_can_be(tmp_path):
    """Student's interval of two shares near 0 reaches far below 0, that of their difference beyond 1; no mean can lie there."""
    two = paired_difference({0: 0.02, 1: 0.9}, {0: 0.9, 1: 0.02}, bounds=(-1.0, 1.0))
    assert two.limits == (-1, 1)
    assert min(paired_difference({0: 0.02, 1: 0.9}, {0: 0.9, 1: 0.02}).limits or ()) < -1
    asked = study(seeds=(0, 1))
    gathered = evidence(tmp_path, asked, grids=False)
    for arm in gathered.arms.values():
        for seed, one in arm.replicates.items():
            one.measurements["recall"] = replace(one.measurements["recall"], value=0.01 + 0.08 * seed)  # type: ignore[index]
    drawn = tradeoffs(gathered, looks(list(gathered.arms), "base"))[1]
    figure = json.loads(drawn.figure)
    points = [t for t in figure["data"] if t["shows"] == "points"]
    assert figure["layout"]["x"]["bounds"] == [0, 1]
    assert [t["xlow"] for t in points] == [[0]] * len(points)
    assert all(t["xhigh"][0] > t["x"][0] for t in points)
    rows = trained(gathered, states(tmp_path, asked), looks(list(gathered.arms), "base"))
    steps = np.arange(1.0, 4.0)
    histories = {
        row.rows[0]: {s: History(row.runs[s], steps, {"eval/ema/recall@1k": steps * (0.001 + 0.1 * s)}) for s in (0, 1)}
        for row in rows
    }
    (rows[0].runs[0] / "protocol.json").write_text(
        json.dumps(
            {"eval/ema/recall@1k": {"metric.name": "recall", "samples": 1000, "info": info("recall").to_json()}}
        ),
        encoding="utf-8",
    )
    shown = curves(rows, histories, "base", "recall", 0.05)["metrics"]["eval/ema/recall@1k"]
    assert shown["label"] == "recall (1k), weights ema"
    assert shown["bounds"] == [0, 1]
    assert all(low == [0, 0, 0] for low in (curve["low"] for curve in shown["curves"]))


def test_no_interval_is_made_up():
    one = paired_difference({0: 1.0}, {0: 3.0})
    assert numbers(one) == "−2.000 (no interval from 1 seed)"
    ratio = paired_difference({0: 8.0, 1: 9.0, 2: 10.3}, {0: 10.0, 1: 11.0, 2: 12.0}, scale=RATIO)
    assert numbers(ratio) == "−17.5 % [−24.5, −9.8]"
    equal = paired_difference({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.0})
    assert numbers(equal) == "−2.000 (no interval from 2 seeds)"


def test_minus_signs_are_those_of_numbers():
    assert typeset("95 % -3.4 to 0.2, sign-flip 1-2, 2105.05233-3") == "95 % −3.4 to 0.2, sign-flip 1-2, 2105.05233-3"


def test_time_losses_are_paired_over_the_end_of_training(found):
    gathered, _, rows, histories = found
    losses = time_losses(rows, histories, gathered.study.alpha)
    assert list(losses.unlike) == ["Cosine schedule"]  # another schedule weighs time otherwise
    (wide,) = [one for one in losses.losses if one.row.rows == ("wide",) and one.quarter == "train/loss_q2"]
    expected = {}
    for seed in (0, 1, 2):
        mine, base = (histories[row][seed].columns["train/loss_q2"][-4:].mean() for row in ("wide", "base"))
        expected[seed] = 100 * (mine / base - 1)
    assert wide.percent.differences == pytest.approx(expected)
    np.testing.assert_allclose(
        wide.percent.interval, stats.ttest_1samp(list(expected.values()), 0).confidence_interval()
    )


def test_the_end_is_the_last_tenth():
    steps = np.arange(1.0, 101.0)
    assert at_the_end(History(None, steps, {"x": steps}), "x") == 95.5  # type: ignore[arg-type]
    assert at_the_end(History(None, steps, {}), "x") is None  # type: ignore[arg-type]


def test_rows_that_draw_otherwise_are_joined(found):
    gathered, look, *_ = found
    assert lines(gathered) == [["base", "ddim10", "ddim50"]]
    first, second = tradeoffs(gathered, look)
    assert [one.name for one in (first, second)] == ["tradeoff-fid-is", "tradeoff-recall-precision"]
    joined, *points = json.loads(first.figure)["data"]
    means = {row: np.mean(list(gathered.arms[row].values("fid").values())) for row in gathered.arms}
    assert joined["x"] == pytest.approx([means["base"], means["ddim10"], means["ddim50"]])
    assert [point["x"][0] for point in points] == pytest.approx(list(means.values()))


def test_colours_are_the_same_everywhere_and_tell_rows_apart():
    rows = [f"row{i}" for i in range(20)]
    found = looks(rows, "row3")
    assert found["row3"].colour == "row-0"
    assert len(set(found.values())) == 20
    assert len({found[row].colour for row in rows[:3] + rows[4:7]}) == COLOURS


def test_json_in_a_script_ends_no_script():
    text = script_safe({"label": "</script><b>&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"label": "</script><b>&"}


def test_one_seed_has_the_bar_of_sampling(found, tmp_path):
    asked = study(seeds=(0,))
    gathered = evidence(tmp_path, asked, grids=False)
    drawn = tradeoffs(gathered, looks(list(gathered.arms), "base"))[0]
    points = [t for t in json.loads(drawn.figure)["data"] if t["shows"] == "points"]
    assert points[0]["xhigh"][0] - points[0]["x"][0] == pytest.approx(0.2 * stats.t.ppf(0.975, 99))


def test_a_row_compared_with_another_row_is_told_so(found):
    gathered, look, *_ = found
    rows = dict(gathered.study.rows)
    rows["wide"] = replace(rows["wide"], against="cosine")
    arms = {name: replace(arm, row=rows[name]) for name, arm in gathered.arms.items()}
    other = replace(gathered, study=replace(gathered.study, rows=rows), arms=arms)
    drawn = forest(other, verdicts(other, "fid"), "fid", look)
    assert drawn is not None
    assert json.loads(drawn.figure)["data"][8]["hover"][0].startswith("Width 56 − Cosine schedule\n")
