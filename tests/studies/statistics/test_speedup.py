"""Compute-matched comparison: known answers, censoring, and why the first crossing is not used."""

import math

import numpy as np
import pytest

from difflab.studies.statistics import Curve, Reach, paired_difference, reach, speedup
from fabricated import info

FID = info("fid")
X = list(range(10, 110, 10))


def decay(rate, x=X):
    """100 exp(-rate x) on its own points."""
    return Curve(x, [100 * math.exp(-rate * x) for x in x])


@pytest.mark.parametrize(
    ("y", "target", "x"),
    [
        ([9, 7, 5, 3], 6, 25),  # half way between 20 and 30
        ([9, 7, 5, 3], 3, 40),
        ([9, 2, 8, 3], 4, 38),  # touched it before 20 and left again: 30 + 10 * 4/5
        ([9, math.nan, 5, 3], 6, 30),  # no line from a value that is none
    ],
)
def test_the_last_crossing_by_hand(y, target, x):
    assert reach(Curve([10, 20, 30, 40], y), target, FID) == Reach(pytest.approx(x))


def test_higher_is_better_is_the_mirror_image():
    assert reach(Curve([10, 20, 30], [1, 5, 9]), 7, info("is")) == Reach(25)
    assert reach(Curve([10, 20, 30], [1, 5, 9]), 7, FID) == Reach(None, "never")


def test_what_was_not_seen_has_no_number():
    assert reach(Curve([10, 20], [9, 7]), 5, FID) == Reach(None, "never")
    assert reach(Curve([10, 20], [9, math.nan]), 9, FID) == Reach(None, "never")
    assert reach(Curve([10, 20], [4, 3]), 5, FID) == Reach(None, "before the first point")
    assert reach(Curve([10, 20], [4, 3]), math.nan, FID) == Reach(None, "no target")
    assert reach(Curve([], []), 1, FID) == Reach(None, "never")


def test_twice_as_fast_is_a_speedup_of_two():
    fine = np.arange(1, 101).tolist()
    found = speedup({s: decay(0.04, fine) for s in (0, 1, 2)}, {s: decay(0.02, fine) for s in (0, 1, 2)}, FID)
    assert found.ratio == pytest.approx(2, rel=1e-3)
    assert found.interval == pytest.approx((2, 2), rel=1e-3)
    assert found.sentence.startswith(
        "the baseline's last value at 0.50 times its compute at a typical seed; speed-up 95 %"
    )


def test_geometric_mean_and_interval_are_those_of_the_logarithms():
    rows, base = {s: decay(0.03 + 0.003 * s) for s in range(4)}, {s: decay(0.02 + 0.002 * s) for s in range(4)}
    found = speedup(rows, base, FID, 0.1)
    logs = {s: math.log(one.ratio) for s, one in found.seeds.items()}
    theirs = paired_difference(logs, dict.fromkeys(logs, 0.0), 0.1)
    assert found.ratio == pytest.approx(math.exp(theirs.mean))
    assert found.interval == pytest.approx(tuple(math.exp(end) for end in theirs.interval))
    assert speedup({0: rows[0]}, base, FID).interval is None


def test_one_censored_seed_is_enough_for_no_number():
    base = {s: decay(0.02) for s in range(3)}
    found = speedup({0: decay(0.03), 1: decay(0.03), 2: decay(0.01)}, base, FID)
    assert found.ratio is found.interval is None
    assert [one.ratio is None for one in found.seeds.values()] == [False, False, True]
    assert (
        found.sentence == "no speed-up is given: the row does not reach the baseline's last value at 1 of 3 seeds (2)"
    )
    early = speedup({0: Curve(X, [1.0] * 10)}, base, FID)
    assert "the row is there before its first measured point at 1 of 1 seeds" in early.sentence
    dead = speedup({0: decay(0.03)}, {0: Curve(X, [9.0] * 9 + [math.nan])}, FID)
    assert dead.ratio is None
    assert "no finite target" in dead.sentence
    assert speedup({0: decay(0.03)}, {1: decay(0.03)}, FID).sentence == "no seed in common"


def test_the_first_crossing_would_be_early_in_noise_and_more_looks_would_make_it_earlier():
    """A noiseless curve comes to 20 at x = 500. The first crossing comes before it, ever earlier; the last one errs to the other side."""
    rng = np.random.default_rng(0)

    def crossings(looks):
        x = np.linspace(0, 1000, looks)
        y = 40 - 0.04 * x + rng.normal(0, 3, (300, looks))
        first = [next(x[i] for i in range(looks) if row[i] <= 20) for row in y]
        last = [reach(Curve(x.tolist(), row.tolist()), 20, FID).x for row in y]
        return np.mean(first), np.mean(last)

    few, many = crossings(11), crossings(201)
    assert many[0] < few[0] - 50
    assert many[0] < 420
    assert few[1] >= 480
    assert many[1] >= 500
