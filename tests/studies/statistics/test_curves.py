"""Bands over seeds with different steps."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from difflab.studies.statistics import Curve, band, band_of_difference


def test_common_steps_alone_with_scipys_interval():
    curves = {
        0: Curve([1, 2, 3, 5], [4, 3, 2, 1]),
        1: Curve([1, 3, 4, 5], [8, 7, 0, 2]),
        4: Curve([1, 3, 5], [0, 0, math.nan]),
    }
    found = band(curves, 0.1)
    assert found.x == (1, 3)
    assert found.seeds == (0, 1, 4)
    theirs = ttest_1samp([[4, 2], [8, 7], [0, 0]], 0).confidence_interval(0.9)
    np.testing.assert_allclose(found.mean, [4, 3])
    np.testing.assert_allclose(found.low, theirs.low)
    np.testing.assert_allclose(found.high, theirs.high)


def test_a_seeds_own_level_cancels_in_the_difference():
    rng = np.random.default_rng(0)
    x = list(range(20))
    level = rng.normal(0, 100, 4)
    b = {s: Curve(x, (level[s] + rng.normal(0, 0.1, 20)).tolist()) for s in range(4)}
    a = {s: Curve(x[::2], (np.array(b[s].y) + 1 + rng.normal(0, 0.1, 20)).tolist()[::2]) for s in (3, 1, 0)}
    found = band_of_difference(a, b)
    assert found.seeds == (3, 1, 0)
    assert found.x == tuple(x[::2])
    assert np.allclose(found.mean, 1, atol=0.3)
    assert max(np.subtract(found.high, found.low)) < 2
    assert min(np.subtract(band(b).high, band(b).low)) > 50


def test_one_seed_has_no_band_and_nothing_in_common_no_points():
    one = band({7: Curve([1, 2], [3, 4])})
    assert (one.x, one.mean, one.low, one.high, one.seeds) == ((1, 2), (3, 4), (), (), (7,))
    assert band({0: Curve([1], [1]), 1: Curve([2], [1])}).x == ()
    assert band({}).seeds == band_of_difference({0: Curve([1], [1])}, {1: Curve([1], [1])}).seeds == ()


def test_a_step_that_stands_twice_is_an_error():
    with pytest.raises(ValueError, match="must rise"):
        Curve([1, 2, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="as many"):
        Curve([1, 2], [1])
