"""Scales that depend on time."""

import math

import pytest
import torch
from guided_kinds import COND, SCHEDULE, X_T, smooth

from difflab.guidance import ClassifierFree, ClassifierFreeOverTime
from difflab.guidance.shapes import Constant, Cosine, Linear, NoiseLevelInterval, TimeInterval
from difflab.schedules import EDM
from difflab.types import Prediction

FINE = torch.linspace(0, 1, 10001, dtype=torch.float64)
T = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Constant(), [1, 1, 1, 1]),
        (Linear(0.0, 2.0), [2, 1.5, 1, 0]),
        (Linear(3.0, 1.0), [1, 1.5, 2, 3]),
        (Cosine(0.0, 2.0), [2, 1 + math.sqrt(0.5), 1, 0]),
        (Cosine(1.0, 0.5), [0.5, 0.75 - 0.25 * math.sqrt(0.5), 0.75, 1]),
        (TimeInterval(0.25, 0.5), [0, 0, 1, 0]),
    ],
)
def test_shapes(shape, expected):
    torch.testing.assert_close(shape(T), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    "shape",
    [Constant(), Linear(0.0, 2.0), Cosine(0.0, 2.0), TimeInterval(0.5, 1.0)],
    ids=lambda one: type(one).__name__,
)
def test_times_above_the_end_of_a_schedule_count_as_the_end(shape):
    """Churn raises the first step from t = 1 to about 1.05."""
    end, above = shape(torch.tensor([1.0, 1.05], dtype=torch.float64))
    assert end == above


@pytest.mark.parametrize("shape", [Linear(0.0, 2.0), Cosine(0.0, 2.0)])
def test_the_defaults_guide_as_much_as_a_constant(shape):
    assert torch.trapezoid(shape(FINE), FINE).item() == pytest.approx(1, abs=1e-6)


def test_an_interval_of_noise_levels_is_of_sigma_over_alpha():
    for schedule in (SCHEDULE, EDM()):
        alpha, sigma = schedule(FINE)
        inside = NoiseLevelInterval(0.19, 1.61, schedule)(FINE).bool()
        level = sigma / alpha
        assert 0 < inside.sum() < len(FINE)
        assert level[inside].min() > 0.19 >= level[~inside & (level < 1)].max()
        assert level[inside].max() <= 1.61 < level[~inside & (level > 1)].min()
    with pytest.raises(ValueError, match="leaves none"):
        NoiseLevelInterval(1.0, 0.5, SCHEDULE)
    with pytest.raises(ValueError, match="leaves none"):
        TimeInterval(0.5, 0.5)


def test_each_example_has_the_scale_of_its_own_time():
    times, shape = torch.tensor([0.1, 0.4, 0.7, 0.9], dtype=torch.float64), Linear(0.5, 2.0)
    found = ClassifierFreeOverTime(4.0, shape)(smooth)(X_T, times, COND).x0
    for i, t in enumerate(times.tolist()):
        w = 1 + 3 * (2 - 1.5 * t)
        alone = ClassifierFree(w)(smooth)(X_T[[i]], times[[i]], COND.select([i])).x0
        torch.testing.assert_close(found[[i]], alone, rtol=1e-12, atol=1e-12)


def test_the_second_branch_is_computed_only_where_somebody_is_guided():
    calls = []

    def denoise(x_t, t, cond, /):
        calls.append(len(x_t))
        return Prediction(x_t)

    def at(shape, *times):
        calls.clear()
        ClassifierFreeOverTime(2.0, shape)(denoise)(
            X_T[: len(times)], torch.tensor(times, dtype=torch.float64), COND.select(slice(len(times)))
        )
        return calls.copy()

    interval = TimeInterval(0.2, 0.8)
    assert at(interval, 0.9, 0.1) == [2]
    assert at(interval, 0.9, 0.8) == [4]
    assert at(Linear(0.0, 2.0), 1.0, 1.0) == [2]
    assert at(Constant(), 1.0, 1.0) == [4]
