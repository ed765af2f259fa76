"""What the page and the picture say of a record is what its values say."""

import itertools
import math

import numpy as np
import pytest
from benchmarks.comparison import compare, comparisons, is_met, median_interval, ours_against_others
from benchmarks.picture import draw, rows_of
from benchmarks.record import Goal, Measurement, Record
from benchmarks.table import page
from PIL import Image
from scipy.stats import binomtest

ROUNDS = 7


def values(middle, spread=0.02):
    """Log-symmetric about the middle, which is their median."""
    return [middle * math.exp(spread * (i - ROUNDS // 2)) for i in range(ROUNDS)]


def training(goals=()):
    contenders = {"difflab": values(30), "diffusers": values(20), "plain": [25.0] * ROUNDS}
    facts = {"difflab": {"parameters": 7_660_000, "GFLOP/image": 3.6, "compiled": False, "network calls": 2}}
    return Measurement("training", "UNet | 32x32", "images/s", True, contenders, "diffusers", facts, goals)


def record(*measurements):
    return Record(
        "2026-11-22", "python -m benchmarks", {"processor": "EPYC"}, {"torch": "2.14"}, (0.1, 2.0), measurements
    )


def test_the_interval_of_a_median_inverts_the_sign_test():
    chance = np.random.default_rng(0)
    for n in (6, 7, 9, 15, 30):
        found = sorted(chance.standard_normal(n).tolist())
        interval = median_interval(found)
        assert interval is not None
        for i, (low, high) in enumerate(itertools.pairwise(found)):
            middle = (low + high) / 2  # below it are i + 1 values
            inside = interval[0] < middle < interval[1]
            assert inside == (binomtest(i + 1, n).pvalue > 0.05), (n, i)
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert median_interval([3, 1, 2, 6, 5, 4]) == (1, 6)


def test_the_interval_holds_the_median_as_often_as_said():
    chance = np.random.default_rng(1)
    draws = chance.exponential(size=(2000, 9))
    held = [low <= math.log(2) <= high for low, high in map(median_interval, draws)]  # type: ignore[misc]
    assert 0.95 <= np.mean(held) <= 0.97  # 1 - 2 (1 + 9) / 2^9 = 0.961


def test_ratios_are_paired():
    measurement = Measurement("b", "c", "s", False, {"a": [1.0, 20.0, 300.0], "b": [2.0, 10.0, 100.0]}, "b")
    assert compare(measurement, "a", "b").median == 2  # and not 20 / 10 of the medians by chance: 0.5, 2, 3
    assert {name: found.median for name, found in comparisons(training()).items()} == pytest.approx(
        {"difflab": 1.5, "plain": 1.25}, rel=1e-3
    )
    assert [c.against for c in ours_against_others(training())] == ["diffusers", "plain"]


def test_goals_are_met_in_the_direction_that_is_better():
    rate = training()
    assert is_met(Goal("difflab", "plain", 1.2), rate)
    assert not is_met(Goal("difflab", "plain", 1.21), rate)
    seconds = Measurement("loop", "c", "s", False, {"difflab": [1.02] * 7, "bare": [1.0] * 7}, "bare")
    assert is_met(Goal("difflab", "bare", 1.02), seconds)
    assert not is_met(Goal("difflab", "bare", 1.01), seconds)


def test_the_page():
    start = Measurement("start", "help", "s", False, {"train.py": [3.0]}, facts={"train.py": {"goal_seconds": 2}})
    facts = {f"width {w}": {"x": w, "expected": "2", "flops": w**2} for w in (8, 16, 32)}
    widths = {f"width {w}": [float(w) ** 1.5] for w in (8, 16, 32)}
    growth = Measurement("growth", "step against width", "s", False, widths, "width 8", facts)
    goals = (Goal("difflab", "diffusers", 1.2), Goal("difflab", "plain", 1.21), Goal("difflab", "diffusers", 2.0))
    text = page(record(training(goals), start, growth))
    lines = text.splitlines()
    assert "- processor EPYC" in lines
    assert "- load average 0.1 before, 2.0 after" in lines
    assert "- rounds: 1, 7" in lines
    place = "| training: UNet \\| 32x32 | difflab at least"
    assert f"{place} 1.2 x diffusers | 1.500 (1.500 to 1.500) | met |" in lines
    assert f"{place} 1.21 x plain | 1.200 (1.130 to 1.274) | **missed**, within the noise |" in lines
    assert f"{place} 2 x diffusers | 1.500 (1.500 to 1.500) | **missed** |" in lines
    assert "| start: help | train.py at most 2 s | 3.000 s | **missed** |" in lines
    known = "parameters 7.66 M, GFLOP/image 3.600, compiled False, network calls 2"
    first = "| UNet \\| 32x32, images/s | difflab | 30.00 (29.11 to 30.92) | 1.500 (1.500 to 1.500)"
    assert f"{first} | {known} |" in lines
    assert "|  | diffusers | 20.00 (19.41 to 20.61) | baseline |  |" in lines
    assert (
        "| step against width | 22.63 s at 8, 181.0 s at 32 | 1.50 ± 0.00 | 1.50 | 2.00, at the end 2.00 | 2 |" in lines
    )


def test_rows_of_the_picture_have_better_to_the_right():
    found = {row.pair: row for row in rows_of(training((Goal("difflab", "plain", 1.3),)))}
    assert found["difflab / diffusers"].ratio == pytest.approx(1.5)
    assert found["difflab / plain"].goal == 1.3
    assert not found["difflab / plain"].met
    contenders = {"peer": values(4), "difflab": [2.0] * ROUNDS}
    seconds = Measurement("fid", "c", "s", False, contenders, "difflab", goals=(Goal("difflab", "peer", 1.0),))
    assert not list(rows_of(Measurement("loop", "c", "s", False, {"3 averages": [1.0], "a step": [30.0]}, "a step")))
    (row,) = rows_of(seconds)
    assert row.ratio == pytest.approx(2)
    assert (row.low, row.high) == pytest.approx((2 * math.exp(-0.06), 2 * math.exp(0.06)))
    assert row.goal == 1
    assert row.met


def test_the_picture_shows_every_row_and_is_not_made_of_nothing(tmp_path):
    path = tmp_path / "images" / "speed.png"
    assert not draw(record(), path)
    assert not path.exists()
    assert draw(record(training()), path)
    low = Image.open(path)
    assert draw(record(training((Goal("difflab", "plain", 1.3),)), training()), path)
    high = Image.open(path)
    assert low.width == high.width == 900
    assert high.height > low.height
    colours = {colour for _, colour in high.convert("RGB").getcolors(1 << 20) or []}
    assert (194, 65, 12) in colours  # a missed goal's
