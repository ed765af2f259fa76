"""Two one-sided tests: parity with statsmodels, duality with the interval, level at the margin's edge."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.weightstats import ttost_paired

from difflab.studies.scale import DIFFERENCE, RATIO, Margin, read_margin
from difflab.studies.statistics import equivalence, paired_difference

HALF = Margin(0.5, DIFFERENCE)


def by_seed(values):
    return dict(enumerate(map(float, values)))


def test_parity_with_statsmodels_and_duality_with_the_interval():
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(200):
        n = int(rng.integers(2, 8))  # from eight on sign tests are asked besides
        a = rng.normal(10, 2, n)
        b = a + rng.normal(rng.normal(0, 0.5), 0.6, n)
        found = equivalence(paired_difference(by_seed(a), by_seed(b)), Margin(0.8, DIFFERENCE))
        assert found.p == pytest.approx(ttost_paired(a, b, -0.8, 0.8)[0], rel=1e-8)
        low, high = found.interval
        assert (found.p <= 0.05) == (low >= -0.8 and high <= 0.8)
        verdicts.add(found.p <= 0.05)
    assert verdicts == {True, False}


@pytest.mark.parametrize("side", [-1, 1])
def test_level_at_the_edge_and_power_within(side):
    trials, n, reach = 3000, 5, 2.0
    margin = Margin(reach, DIFFERENCE)
    d = np.random.default_rng(2).normal(0, 1, (trials, n))
    zero = by_seed([0] * n)
    wrong = sum(equivalence(paired_difference(by_seed(row + side * reach), zero), margin).p <= 0.05 for row in d)
    low, high = binom.interval(1 - 1e-5, trials, 0.05)
    assert low <= wrong <= high
    right = sum(equivalence(paired_difference(by_seed(row), zero), margin).p <= 0.05 for row in d[:500])
    assert right > 350


def test_differences_without_scatter_and_one_seed():
    flat = {n: equivalence(paired_difference(by_seed([3.0] * n), by_seed([3.0] * n)), HALF) for n in (1, 3, 5, 6)}
    assert (flat[1].p, flat[1].interval) == (None, None)
    assert (flat[3].p, flat[3].interval) == (1 / 8, (-math.inf, math.inf))
    assert (flat[5].p, flat[5].interval) == (1 / 32, (0, 0))
    outside = equivalence(paired_difference(by_seed([3.5] * 6), by_seed([3.0] * 6)), HALF)
    assert outside.p == 1


def test_a_margin_in_per_cent_is_tested_on_logarithms():
    a, b = by_seed([10.0, 20.0, 40.0, 30.0]), by_seed([10.1, 20.1, 39.9, 29.8])
    found = equivalence(paired_difference(a, b, scale=RATIO), read_margin("5 %"))
    theirs = ttost_paired(np.log(list(a.values())), np.log(list(b.values())), -np.log(1.05), np.log(1.05))[0]
    assert found.p == pytest.approx(theirs, rel=1e-8)
    low, high = found.interval
    assert -5 < low < 0 < high < 5
    with pytest.raises(ValueError, match="not on the margin's scale"):
        equivalence(paired_difference(a, b), read_margin("5 %"))


def test_from_eight_seeds_on_signs_must_agree():
    """Seven of eight seeds are within and one far outside: t says equivalent, one-sided signs allow one outlier of eight (p = 9 / 256)."""
    within = [0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01]
    one, two = by_seed([*within, 0.6]), by_seed([*within[:6], 0.6, 0.6])
    zero = by_seed([0.0] * 8)
    assert equivalence(paired_difference(one, zero), HALF).p <= 0.05
    found = equivalence(paired_difference(two, zero), HALF)
    assert found.p == pytest.approx(binomtest(2, 8, alternative="less").pvalue)
    assert ttost_paired(np.array(list(two.values())), np.zeros(8), -0.5, 0.5)[0] <= 0.05


@pytest.mark.parametrize(
    ("given", "reach", "text"),
    [("5 %", np.log(1.05), "5 %"), (0.5, 0.5, "0.5"), ("2.5%", np.log(1.025), "2.5 %"), (1, 1, "1")],
)
def test_margins_as_they_are_written(given, reach, text):
    assert read_margin(given).reach == pytest.approx(reach)
    assert str(read_margin(given)) == text


@pytest.mark.parametrize("given", [0, -1.0, "0 %", "x %", None, True, [1], float("nan"), "5 % %"])
def test_what_is_no_margin(given):
    with pytest.raises(ValueError, match="expected a difference above 0"):
        read_margin(given)
