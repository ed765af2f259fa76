"""Power against simulation and against numbers in print; the solvers where statsmodels' own gives up."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, ttest_1samp
from statsmodels.stats.power import TTestPower

from difflab.studies.scale import RATIO, read_margin
from difflab.studies.statistics import (
    Pilot,
    paired_difference,
    pilot_of_pairs,
    pilot_of_seeds,
    power_by_row,
    power_sentence,
    seeds_needed,
    smallest_difference,
)
from difflab.studies.statistics import power as power_of

ONE = Pilot(1.0, 4, "a test")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_smallest_difference_is_found_in_80_percent_of_simulated_studies(n):
    trials, rng = 4000, np.random.default_rng(n)
    pilot = Pilot(0.4, 4, "a test")
    delta = smallest_difference(pilot, n)
    found = 0
    for d in rng.normal(delta, 0.4, (trials, n)):
        one = paired_difference(dict(enumerate(d.tolist())), dict.fromkeys(range(n), 0.0))
        found += one.p <= 0.05 and one.mean > 0
    low, high = binom.interval(1 - 1e-5, trials, 0.8)
    assert low <= found <= high


def test_power_after_correction_is_that_of_holms_first_step():
    trials, n, rows = 4000, 6, 5
    delta = smallest_difference(ONE, n, rows=rows)
    p = ttest_1samp(np.random.default_rng(0).normal(delta, 1, (trials, n)), 0, axis=-1).pvalue
    low, high = binom.interval(1 - 1e-5, trials, 0.8)
    assert low <= np.sum(p <= 0.05 / rows) <= high
    assert delta > smallest_difference(ONE, n)


def test_numbers_in_print():
    # d = 1.2, two-sided 5 %, 80 %: 8 pairs (G*Power's and R's pwr.t.test); beyond ten seeds the sign test rules, whose power is binomial
    assert seeds_needed(ONE, 1.2) == 8
    assert power_of(1.2, 1.0, 8) == pytest.approx(TTestPower().power(1.2, 8, 0.05), abs=1e-4)
    assert power_of(1.0, 1.0, 12) == pytest.approx(binom.cdf(2, 12, norm.cdf(-1.0)), abs=1e-9)
    fewest = next(n for n in range(34, 99) if binom.cdf(most_losses(n), n, norm.cdf(-0.5)) >= 0.8)
    assert seeds_needed(ONE, 0.5) == fewest == 51


def most_losses(n):
    return max(k for k in range(n // 2) if binomtest(k, n).pvalue <= 0.05)


@pytest.mark.parametrize("n", [11, 12, 15, 20])
def test_beyond_ten_seeds_power_is_that_of_the_rule(n):
    """Both tests asked of simulated studies; the smaller power of the two is their joint one within two points."""
    trials = 20_000
    d = np.random.default_rng(n).normal(1.0, 1.0, (trials, n))
    t = ttest_1samp(d, 0, axis=-1).pvalue <= 0.05
    wins = (d > 0).sum(1)
    signs = 2 * binom.cdf(n - wins, n, 0.5) <= 0.05
    assert power_of(1.0, 1.0, n) == pytest.approx(np.mean(t & signs), abs=0.02)
    assert power_of(1.0, 1.0, 11) < power_of(1.0, 1.0, 10)  # the price of asking besides


def test_agreement_with_statsmodels_where_its_solver_works():
    for n in (4, 7, 10):
        theirs = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
        assert smallest_difference(ONE, n) == pytest.approx(theirs, rel=1e-4)


def test_every_corner_converges():
    for n in (2, 3, 4, 7, 50, 10_000):
        for rows in (1, 20, 1000):
            for goal in (0.5, 0.8, 0.99):
                delta = smallest_difference(ONE, n, rows=rows, goal=goal)
                assert power_of(delta, 1.0, n, rows=rows) == pytest.approx(goal, abs=1e-6)
    smallest = [smallest_difference(ONE, n) for n in range(2, 11)]
    assert smallest == sorted(smallest, reverse=True)


@pytest.mark.parametrize(("difference", "rows"), [(1e9, 1), (50.0, 3), (3.0, 1), (0.9, 12), (0.05, 1)])
def test_the_fewest_seeds_are_enough_and_one_less_is_not(difference, rows):
    n = seeds_needed(ONE, difference, rows=rows)
    assert power_of(difference, 1.0, n, rows=rows) >= 0.8
    assert n == 2 or power_of(difference, 1.0, n - 1, rows=rows) < 0.8


def test_more_than_ten_thousand_seeds_are_said():
    assert seeds_needed(ONE, 1e-6) is None
    assert "0.001 needs more than 10,000 seeds after Holm." in power_sentence(
        ONE, 3, 0.05, 2, wanted=read_margin(0.001)
    )


def test_pilots():
    rng = np.random.default_rng(0)
    first, second = rng.normal(5, 2, 4).tolist(), rng.normal(-1, 2, 3).tolist()
    both = pilot_of_pairs([first, second, [7.0]])
    assert both.sd**2 == pytest.approx((3 * np.var(first, ddof=1) + 2 * np.var(second, ddof=1)) / 5)
    assert (both.freedom, both.source) == (5, "4 + 3 paired differences")
    alone = pilot_of_seeds(first)
    assert alone.sd == pytest.approx(np.sqrt(2) * np.std(first, ddof=1))
    assert "sqrt(2)" in alone.source
    assert (
        pilot_of_pairs([[1.0], []]) is pilot_of_pairs([[1.0, 1.0]]) is pilot_of_seeds([]) is pilot_of_seeds([1]) is None
    )
    low, high = Pilot(1.0, 2, "three pairs").interval()
    assert (low, high) == pytest.approx((0.52, 6.28), abs=0.01)


def test_a_pilots_interval_covers():
    values = np.random.default_rng(4).normal(0, 3, (2000, 4)).tolist()
    intervals = [pilot_of_pairs([row]).interval() for row in values]
    outside = sum(not low <= 3 <= high for low, high in intervals)
    bounds = binom.interval(1 - 1e-5, 2000, 0.05)
    assert bounds[0] <= outside <= bounds[1]


def test_the_sentence_holds_the_numbers():
    pilot = Pilot(0.4, 4, "5 paired differences")
    said = power_sentence(pilot, 3, 0.05, 3, wanted=read_margin(0.5))
    for number in (smallest_difference(pilot, 3), smallest_difference(pilot, 3, rows=3)):
        assert f"{number:.3g}" in said
    assert f"0.5 needs {seeds_needed(pilot, 0.5, rows=3)} seeds after Holm." in said
    assert "at a typical seed" in said
    assert "One seed shows no difference." in power_sentence(pilot, 1, 0.05, 3)
    assert "scatter by 2 (as given)." in power_sentence(Pilot(2.0, None, "as given"), 3, 0.05, 3)


def test_a_ratio_is_told_in_per_cent():
    pilot = Pilot(np.log(1.1), 4, "5 paired differences", RATIO, level=20.0)
    said = power_sentence(pilot, 5, 0.05, 1, wanted=read_margin("5 %"))
    assert said.startswith("Paired differences scatter by 10 % (95 %")
    assert f"a difference of 5 % needs {seeds_needed(pilot, np.log(1.05))} seeds." in said
    assert "a difference of 1 (5 % of the baseline's 20) needs" in power_sentence(
        pilot, 5, 0.05, 1, wanted=read_margin(1.0)
    )
    unknown = power_sentence(Pilot(0.1, None, "as given", RATIO), 5, 0.05, 1, wanted=read_margin(1.0))
    assert "is not known before the baseline has a number" in unknown


def test_rows_that_scatter_differently_have_their_own_power():
    calm, wild = Pilot(1.0, 4, ""), Pilot(20.0, 4, "")
    said = power_by_row({"calm": calm, "wild": wild}, 5, 0.05, 2)
    assert f"calm {smallest_difference(calm, 5, rows=2):.3g}" in said
    assert f"wild {smallest_difference(wild, 5, rows=2):.3g}" in said
    assert power_by_row({"calm": calm}, 5, 0.05, 2) == power_by_row({"calm": calm, "wild": wild}, 1, 0.05, 2) == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_of(1, 1, 1), "two seeds"),
        (lambda: power_of(1, 0, 3), "above 0"),
        (lambda: seeds_needed(ONE, 0.0), "difference of 0"),
        (lambda: smallest_difference(ONE, 3, goal=0.01), "goal"),
        (lambda: smallest_difference(ONE, 3, rows=0), "one row"),
    ],
)
def test_what_has_no_answer_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
