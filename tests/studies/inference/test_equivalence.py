"""Two one-sided tests: parity with statsmodels, duality with the interval, level at the margin's edge."""

import math

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.weightstats import ttost_paired

from difflab.studies.inference import equivalence, paired_difference


def by_seed(values):
    return dict(enumerate(map(float, values)))


def test_parity_with_statsmodels_and_duality_with_the_interval():
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(200):
        n = int(rng.integers(2, 12))
        a = rng.normal(10, 2, n)
        b = a + rng.normal(rng.normal(0, 0.5), 0.6, n)
        found = equivalence(paired_difference(by_seed(a), by_seed(b)), 0.8)
        assert found.p == pytest.approx(ttost_paired(a, b, -0.8, 0.8)[0], rel=1e-8)
        low, high = found.interval
        assert (found.p <= 0.05) == (low >= -0.8 and high <= 0.8)
        verdicts.add(found.p <= 0.05)
    assert verdicts == {True, False}


@pytest.mark.parametrize("side", [-1, 1])
def test_level_at_the_edge_and_power_within(side):
    trials, n, margin = 3000, 5, 2.0
    d = np.random.default_rng(2).normal(0, 1, (trials, n))
    zero = by_seed([0] * n)
    wrong = sum(equivalence(paired_difference(by_seed(row + side * margin), zero), margin).p <= 0.05 for row in d)
    low, high = binom.interval(1 - 1e-5, trials, 0.05)
    assert low <= wrong <= high
    right = sum(equivalence(paired_difference(by_seed(row), zero), margin).p <= 0.05 for row in d[:500])
    assert right > 350


def test_differences_without_scatter_and_one_seed():
    flat = {n: equivalence(paired_difference(by_seed([3.0] * n), by_seed([3.0] * n)), 0.5) for n in (1, 3, 5, 6)}
    assert (flat[1].p, flat[1].interval) == (None, None)
    assert (flat[3].p, flat[3].interval) == (1 / 8, (-math.inf, math.inf))
    assert (flat[5].p, flat[5].interval) == (1 / 32, (0, 0))
    outside = equivalence(paired_difference(by_seed([3.5] * 6), by_seed([3.0] * 6)), 0.5)
    assert outside.p == 1
    with pytest.raises(ValueError, match="above 0"):
        equivalence(paired_difference({0: 1.0}, {0: 1.0}), 0.0)
