"""Holm's step-down against its definition, and its family-wise error with rows that share a baseline."""

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp
from statsmodels.stats.multitest import multipletests

from difflab.studies.statistics import holm


def test_the_definition_on_numbers_done_by_hand():
    # sorted: 0.01 x 4, 0.02 x 3, 0.04 x 2, 0.03 -> order of 0.03 and 0.04: 0.03 x 2 = 0.06, 0.04 x 1 = 0.04 -> 0.06
    found = holm({"a": 0.04, "b": 0.01, "c": 0.02, "d": 0.03})
    assert found == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06})
    assert list(found) == ["a", "b", "c", "d"]


def test_parity_with_statsmodels():
    rng = np.random.default_rng(1)
    for m in (1, 2, 7, 40):
        p = rng.uniform(0, 3 / m, m).clip(0, 1)
        p[-1] = p[0]  # a tie
        theirs = multipletests(p, method="holm")[1]
        assert list(holm(dict(enumerate(p.tolist()))).values()) == pytest.approx(theirs, rel=1e-12)


def test_a_row_without_p_counts_in_the_family():
    assert holm({"a": 0.02, "b": None, "c": None}) == {"a": pytest.approx(0.06), "b": None, "c": None}
    assert holm({"a": 0.02}) == {"a": pytest.approx(0.02)}
    assert holm({}) == {}


def test_the_family_wise_error_holds_where_rows_share_a_baseline():
    trials, rows, n = 3000, 4, 5
    rng = np.random.default_rng(0)
    d = rng.normal(0, 1, (trials, rows, n)) - rng.normal(0, 1, (trials, 1, n))  # correlation 1/2 between rows
    p = ttest_1samp(d, 0, axis=-1).pvalue
    plain = np.mean((p <= 0.05).any(1))
    wrong = sum(min(holm(dict(enumerate(map(float, row)))).values()) <= 0.05 for row in p)
    assert plain > 0.11  # what would happen without
    assert wrong <= binom.ppf(1 - 1e-5, trials, 0.05)
    assert wrong >= 0.02 * trials  # it is not idle either
