"""The sign-flip test against scipy's enumeration, its interval against the test it inverts, its level by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, permutation_test

from difflab.studies.statistics import sign_flip


@pytest.mark.parametrize("n", [2, 5, 8])
def test_p_is_that_of_scipys_enumeration(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.7):
        d = rng.normal(shift, 1, n)
        theirs = permutation_test(
            (d,),
            lambda x, axis: np.abs(x.sum(axis)),
            permutation_type="samples",
            n_resamples=np.inf,
            alternative="greater",
        )
        assert sign_flip(d, 0.05).p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_rounding_makes_no_difference_between_ties():
    """Tenths have the p of whole numbers, whose sums are exact; 0.1 + 0.2 - 0.3 is not 0 in floats."""
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    for whole in np.random.default_rng(0).integers(-5, 6, (100, 6)):
        p = np.mean(np.abs(signs @ whole) >= abs(whole.sum()))
        assert sign_flip(whole * 0.1, 0.05).p == p


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_the_interval_is_the_set_of_values_that_the_test_accepts(alpha):
    rng = np.random.default_rng(1)
    for n in (4, 6, 7, 9):
        d = rng.normal(0.5, 1, n)
        low, high = sign_flip(d, alpha).interval
        grid = (
            [-50.0, 50.0] if math.isinf(low) else [low - 1e-6, low + 1e-6, high - 1e-6, high + 1e-6, low - 1, high + 1]
        )
        for theta in [*grid, d.mean()]:
            signs = np.array(list(itertools.product([-1, 1], repeat=n)))
            p = np.mean(np.abs(signs @ (d - theta)) >= abs((d - theta).sum()) - 1e-12)
            assert (p > alpha) == (low < theta < high), (n, theta)


def test_below_six_differences_there_is_no_95_percent_interval():
    for n in (1, 2, 3, 4, 5):
        found = sign_flip([1.0 + 0.1 * i for i in range(n)], 0.05)
        assert found.interval == (-math.inf, math.inf)
        assert found.attainable == found.p == 2.0 ** (1 - n)
    d = [1.0, 1.3, 0.8, 2.0, 1.1, 1.6]
    assert sign_flip(d, 0.05).interval == (0.8, 2.0)
    assert sign_flip(d[:3], 0.25).interval == pytest.approx((0.8, 1.3))  # p = 0.25 <= alpha rejects


def test_all_flips_of_twenty_and_draws_beyond_agree_with_the_normal_limit():
    rng = np.random.default_rng(3)
    d = rng.normal(0.4, 1, 20)
    exact = sign_flip(d, 0.05)
    assert exact.exact
    assert exact.attainable == 2.0**-19
    drawn = sign_flip(
        np.append(d, d.mean()), 0.05
    )  # a difference at the mean changes neither centre nor much of the scatter
    assert not drawn.exact
    assert drawn.attainable == 1e-4
    assert drawn == sign_flip(np.append(d, d.mean()), 0.05)
    assert drawn.p == pytest.approx(exact.p, rel=0.35)
    reach = 1.96 * d.std() / math.sqrt(20)
    for found in (exact, drawn):
        assert found.interval == pytest.approx((d.mean() - reach, d.mean() + reach), abs=0.15 * reach)


@pytest.mark.parametrize(("n", "alpha"), [(5, 0.0625), (8, 0.05)])
def test_level_and_coverage_under_a_law_far_from_normal(n, alpha):
    trials = 3000
    d = np.random.default_rng(n).standard_t(2, (trials, n))  # symmetric, infinite variance
    found = [sign_flip(row, alpha) for row in d]
    rejected = sum(one.p <= alpha for one in found)
    covered = sum(one.interval[0] <= 0 <= one.interval[1] for one in found)
    level = math.floor(alpha * 2 ** (n - 1)) / 2 ** (n - 1)  # the attainable one at or below alpha
    low, high = binom.interval(1 - 1e-5, trials, level)
    assert low <= rejected <= high
    assert covered == trials - rejected
