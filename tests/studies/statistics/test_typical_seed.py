"""The tests behind a verdict: parity with scipy, seeds at which a run has failed, and signs beyond ten seeds."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, skew, t, ttest_1samp

from difflab.studies.scale import read_margin
from difflab.studies.statistics import (
    Outcome,
    Pair,
    judge,
    paired_difference,
    sign_test,
    skew_guard,
    tally,
    typical_seed,
)
from difflab.studies.statistics.one_sample import rarely
from fabricated import info

DEAD = math.nan


def seeds(values):
    return dict(enumerate(map(float, values)))


def judged(row, base, metric="kid", **options):
    return judge({"row": Pair(seeds(row), seeds(base), "base")}, metric, info(metric), **options)["row"]


def test_the_sign_test_is_scipys():
    for n in range(1, 14):
        for wins in range(n + 1):
            assert sign_test(wins, n - wins) == pytest.approx(binomtest(wins, n).pvalue, rel=1e-12)
            assert rarely(wins, n) == pytest.approx(binomtest(wins, n, alternative="less").pvalue, rel=1e-12)
    assert sign_test(0, 0) == 1


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_skew_guard_is_its_formula_with_scipys_skewness(n):
    d = np.random.default_rng(n).exponential(size=(4, n)) - 0.6
    rows = {str(i): paired_difference(seeds(row), seeds([0.0] * n)) for i, row in enumerate(d)}
    common = np.mean(skew(d, axis=1, bias=False))
    for row, found in zip(d, skew_guard(rows).values(), strict=True):
        u = row.mean() / row.std(ddof=1)
        q = math.sqrt(n) * (u + common * u**2 / 3 + common**2 * u**3 / 27 + common / (6 * n))
        student = ttest_1samp(row, 0).pvalue
        assert found == pytest.approx(max(student, 2 * t.sf(abs(q), n - 1)), rel=1e-9)
        assert found >= student * (1 - 1e-12)


def test_the_skew_guard_is_t_where_there_is_no_skewness_to_see():
    two, one = paired_difference(seeds([1.0, 1.2]), seeds([0, 0])), paired_difference(seeds([1.0]), seeds([0]))
    equal = paired_difference(seeds([1.0] * 4), seeds([0] * 4))
    assert skew_guard({"two": two, "one": one, "equal": equal}) == {"two": two.p, "one": None, "equal": 0.125}


def test_seeds_are_counted_by_who_is_better():
    found = tally({0: 1.0, 1: 2.0, 2: DEAD, 3: 1.0, 4: DEAD, 9: 1.0}, {0: 2.0, 1: 2.0, 2: 1.0, 3: DEAD, 4: DEAD}, False)
    assert (found.wins, found.losses, found.ties) == ((0, 3), (2,), (1,))
    assert (found.failed, found.other_failed, found.n) == ((2, 4), (3, 4), 4)
    assert tally({0: 1.0}, {0: 2.0}, True).losses == (0,)


BASE = (10.0, 11.0, 9.0, 12.0, 10.5, 9.5, 11.5, 10.2, 10.8, 9.9)
NOISE = (0.1, -0.1, 0.05, -0.05, 0.0, 0.08, -0.08, 0.03, -0.03, 0.02)


def lower(n, by=1.0):
    return [b - by + e for b, e in zip(BASE[:n], NOISE, strict=False)]


def test_a_failed_seed_counts_against_its_row():
    """Left out, four of five seeds would say better at p < 0.001."""
    whole = judged(lower(5), BASE[:5])
    assert whole.outcome is Outcome.BETTER
    spoilt = lower(5)
    spoilt[2] = DEAD
    found = judged(spoilt, BASE[:5])
    assert found.difference.p < 0.001
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.p == pytest.approx(binomtest(4, 5).pvalue)
    assert not found.on_average
    assert (
        "sign test p = 0.38, better at 4 of 5 seeds; it diverged or gave no number at seed 2, counted as worse than any number"
        in found.sentence
    )


def test_enough_other_seeds_can_still_say_better():
    spoilt = [*lower(10)[:-1], DEAD]
    found = judged(spoilt, BASE)
    assert (found.outcome, found.p, found.by_signs) == (Outcome.BETTER, pytest.approx(binomtest(9, 10).pvalue), True)
    assert "better at 9 of 10 seeds; not shown on average, which a failed run does not have" in found.sentence


def test_a_row_that_failed_may_be_found_worse_without_its_worst_seed():
    spoilt = [*lower(4, by=-1.0), DEAD]
    found = judged(spoilt, BASE[:5])
    assert (found.outcome, found.by_signs) == (Outcome.WORSE, False)
    assert found.p == found.difference.p


def test_a_failed_seed_is_never_equivalent():
    near, margin = lower(5, by=0.0), read_margin(1.0)
    assert judged(near, BASE[:5], margin=margin).outcome is Outcome.EQUIVALENT
    near[0] = math.inf
    found = judged(near, BASE[:5], margin=margin)
    assert (found.outcome, found.equivalence_p) == (Outcome.INCONCLUSIVE, 1.0)


def test_a_failed_seed_of_the_baseline_counts_against_the_baseline():
    base = [*BASE[:4], DEAD]
    found = judged(lower(5), base)
    assert (found.outcome, found.p) == (Outcome.BETTER, found.difference.p)  # its worst seed is missing from t already
    assert "base diverged or gave no number at seed 4" in found.sentence
    worse = judged(lower(5, by=-1.0), base)
    assert (worse.outcome, worse.p) == (Outcome.INCONCLUSIVE, pytest.approx(binomtest(1, 5).pvalue))


def test_a_seed_at_which_both_failed_says_nothing():
    found = judged([*lower(5)[:4], DEAD], [*BASE[:4], DEAD])
    assert (found.outcome, found.tally.n) == (Outcome.BETTER, 4)
    assert "both diverged or gave no number at seed 4, which says nothing" in found.sentence


def test_a_row_of_which_nothing_is_left_has_failed():
    found = judged([DEAD] * 3, BASE[:3])
    assert found.outcome is Outcome.FAILED
    assert found.sentence == "failed: all 3 runs diverged or gave no number (seeds 0, 1, 2)"
    assert judged([DEAD], BASE[:1]).sentence == "failed: the run diverged or gave no number (seed 0)"
    other = judged(lower(3), [DEAD] * 3)
    assert other.outcome is Outcome.INCONCLUSIVE
    assert "base diverged or gave no number at seeds 0, 1, 2" in other.sentence


def test_the_direction_is_the_metrics():
    spoilt = [b + 1 + e for b, e in zip(BASE, NOISE, strict=True)]
    spoilt[3] = DEAD
    assert judged(spoilt, BASE, "is").outcome is Outcome.BETTER
    assert judged(spoilt, BASE, "kid").outcome is Outcome.WORSE


def test_beyond_ten_seeds_signs_are_asked_besides():
    """Nine wins of twelve are no majority to speak of (p = 0.15), however small t's p is."""
    d = np.array([-1.0] * 9 + [0.05, 0.06, 0.04]) + np.linspace(-0.02, 0.02, 12)
    base = np.full(12, 10.0)
    assert ttest_1samp(d, 0).pvalue < 0.001
    found = judged(base + d, base)
    assert (found.outcome, found.by_signs) == (Outcome.INCONCLUSIVE, True)
    assert found.p == pytest.approx(binomtest(9, 12).pvalue)
    ten = judged((base + d)[2:], base[2:])
    assert (ten.outcome, ten.by_signs) == (Outcome.BETTER, False)
    clear = judged(base + d - 0.5, base)
    assert (clear.outcome, clear.p) == (Outcome.BETTER, clear.difference.p)


def test_nothing_to_test_is_no_p():
    none = tally({}, {}, False)
    assert typical_seed(None, none, False, 0.05).p is None
