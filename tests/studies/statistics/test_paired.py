"""Paired differences: parity with scipy, level and coverage by simulation, and what must not become nan."""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import binom, ttest_ind, ttest_rel

from difflab.studies.statistics import paired_difference, sign_flip


def by_seed(values):
    return dict(enumerate(map(float, values)))


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_parity_with_scipy(n):
    rng = np.random.default_rng(n)
    a = rng.normal(10, 2, n)
    b = a + rng.normal(0.5, 1, n)
    found, theirs = paired_difference(by_seed(a), by_seed(b), 0.1), ttest_rel(a, b)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval(0.9)), rel=1e-9)
    assert found.interval_at(0.2) == pytest.approx(tuple(theirs.confidence_interval(0.8)), rel=1e-9)
    assert found.sign_flip == sign_flip(a - b, 0.1)
    welch = ttest_ind(a, b, equal_var=False)
    assert found.mean / found.pairing.unpaired_std_error == pytest.approx(welch.statistic, rel=1e-9)
    assert found.pairing.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    bought = found.std_error**2 / found.pairing.unpaired_std_error**2
    assert found.pairing.variance_ratio == pytest.approx(bought)


def test_only_shared_seeds_count_and_in_any_order():
    found = paired_difference({3: 1.0, 0: 5.0, 7: 2.0}, {0: 4.0, 9: 100.0, 3: -1.0})
    assert found.differences == {3: 2.0, 0: 1.0}
    assert found.mean == 1.5
    assert found.n == 2


def test_one_seed_has_no_interval_and_no_p():
    found = paired_difference({0: 3.0}, {0: 1.0})
    assert (found.mean, found.sd, found.p, found.interval, found.sign_flip, found.pairing) == (2.0, *[None] * 5)


def test_nothing_in_common_and_no_number_are_errors_that_name_the_seed():
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference({0: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match="seed 1: nan"):
        paired_difference({0: 1.0, 1: math.nan}, {0: 1.0, 1: 1.0})


@pytest.mark.parametrize("shift", [0.0, 1.1])
@pytest.mark.parametrize("n", [3, 8])
def test_equal_differences_are_as_certain_as_their_number(n, shift):
    base = [10.3, 11.7, 9.2, 14.9, 3.3, 8.8, 7.1, 6.4][:n]  # their differences are equal but for rounding
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired_difference(by_seed([b + shift for b in base]), by_seed(base))
    assert found.sd == 0
    assert found.mean == pytest.approx(shift)
    assert found.p == (1 if shift == 0 else 2.0 ** (1 - n))
    assert found.interval == ((-math.inf, math.inf) if n == 3 else pytest.approx((shift, shift)))
    assert found.pairing.correlation == pytest.approx(1)
    assert found.pairing.variance_ratio == 0


def test_arms_without_scatter_have_no_correlation():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = paired_difference({0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}).pairing
        one = paired_difference({0: 1.0, 1: 1.0}, {0: 2.0, 1: 3.0}).pairing
    assert (both.correlation, both.variance_ratio) == (None, None)
    assert (one.correlation, one.variance_ratio) == (None, pytest.approx(1))


@pytest.mark.parametrize("n", [5, 8])
def test_level_and_coverage(n):
    """A seed's effect is common to both arms; 5 % of the tests reject a true zero, 95 % of the intervals hold a true 0.7."""
    trials, rng = 3000, np.random.default_rng(n)
    seed = rng.normal(0, 3, (trials, n))
    a, b = seed + rng.normal(0.7, 1, (trials, n)), seed + rng.normal(0, 1, (trials, n))
    rejected = covered = flipped = 0
    for one, other in zip(a, b, strict=True):
        null = paired_difference(by_seed(one - 0.7), by_seed(other))
        rejected += null.p <= 0.05
        flipped += null.sign_flip.p <= 0.05
        low, high = paired_difference(by_seed(one), by_seed(other)).interval
        covered += low <= 0.7 <= high
    low, high = binom.interval(1 - 1e-5, trials, 0.05)
    assert low <= rejected <= high
    assert low <= trials - covered <= high
    if n == 5:
        assert flipped == 0  # 2^-4 > 0.05
    else:
        flips = binom.interval(1 - 1e-5, trials, 6 / 128)
        assert flips[0] <= flipped <= flips[1]


def test_common_random_numbers_shrink_the_variance_by_one_minus_the_correlation():
    rng = np.random.default_rng(0)
    paired = unpaired = 0.0
    for _ in range(600):
        seed = rng.normal(0, 3, 8)
        found = paired_difference(by_seed(seed + rng.normal(0, 1, 8)), by_seed(seed + rng.normal(0, 1, 8)))
        paired += found.std_error**2
        unpaired += found.pairing.unpaired_std_error**2
    assert paired / unpaired == pytest.approx(1 - 9 / 10, rel=0.1)
