"""Which times a sampler visits. (Parity of the respacing rule: tests/parity/test_guided_schedules.py.)."""

import numpy as np
import pytest
import torch

from difflab.samplers.grids import QuadraticGrid, UniformGrid
from difflab.schedules import ContinuousCosine, cosine

TABLE, CONTINUOUS = cosine(1000), ContinuousCosine(8, 8)


def steps_of(grid):
    return TABLE.network_time(grid(TABLE)[1:]).long().tolist()


@pytest.mark.parametrize("count", [10, 20, 50, 100])
def test_quadratic_steps_are_those_of_ddim(count):
    """int(s) for s in linspace(0, sqrt(0.8 T), n)^2, each once (Song et al. 2021, appendix D.2)."""
    expected = sorted({int(s) for s in np.linspace(0, np.sqrt(1000 * 0.8), count) ** 2})
    assert steps_of(QuadraticGrid(count)) == expected


@pytest.mark.parametrize(
    "grid", [UniformGrid(7), UniformGrid("ddim10"), UniformGrid("3,2"), QuadraticGrid(9), QuadraticGrid(500, 1.0)]
)
def test_times_rise_from_exactly_0(grid):
    times = grid(TABLE)
    assert times[0] == 0
    assert (times.diff() > 0).all()
    assert times[-1] <= 1


def test_continuous_times():
    np.testing.assert_allclose(UniformGrid(4)(CONTINUOUS), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(QuadraticGrid(2, share=0.8)(CONTINUOUS), [0, 0.2, 0.8])


def test_a_number_means_the_first_and_the_last_step():
    for count in (2, 10, 77, 1000):
        steps = steps_of(UniformGrid(count))
        assert (len(steps), steps[0], steps[-1]) == (count, 0, 999)
    assert steps_of(UniformGrid("ddim4")) == [0, 250, 500, 750]


@pytest.mark.parametrize(
    ("grid", "schedule", "message"),
    [
        (lambda: UniformGrid(1001), TABLE, "cannot take 1001 sampling steps out of 1000"),
        (lambda: UniformGrid("600,400"), TABLE, r"600 sampling steps out of 500 \(section 1 of 2"),
        (lambda: UniformGrid("ddim37"), TABLE, "no integer stride takes 37 steps"),
        (lambda: UniformGrid("fast"), TABLE, "expected a positive number"),
        (lambda: UniformGrid(0), TABLE, "expected a positive number"),
        (lambda: UniformGrid("10,0"), TABLE, "expected a positive number"),
        (lambda: UniformGrid("10,20"), CONTINUOUS, "in continuous time"),
        (lambda: QuadraticGrid(1001), TABLE, "cannot take 1001 sampling steps out of 1000"),
        (lambda: QuadraticGrid(0), TABLE, "at least one step"),
        (lambda: QuadraticGrid(5, share=1.5), TABLE, "share in"),
    ],
)
def test_refusals_teach(grid, schedule, message):
    with pytest.raises(ValueError, match=message):
        grid()(schedule)


def test_times_are_float64_whatever_the_default_type_is():
    torch.set_default_dtype(torch.float32)
    assert UniformGrid(10)(TABLE).dtype == UniformGrid(10)(CONTINUOUS).dtype == torch.float64
