"""Which times a sampler visits. (Parity of the respacing rule: tests/parity/test_guided_schedules.py.)."""

import numpy as np
import pytest
import torch

from difflab.samplers.grids import (
    FlowShiftGrid,
    KarrasGrid,
    LevelsGrid,
    LogSNRGrid,
    QuadraticGrid,
    TimesGrid,
    UniformGrid,
)
from difflab.schedules import EDM, ContinuousCosine, VarianceExploding, cosine, linear, noise_level

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
        (lambda: LogSNRGrid(0), TABLE, "at least one step"),
        (lambda: LogSNRGrid(5, 2, 1), TABLE, "sigma_min = 2 must be positive and below"),
        (lambda: LogSNRGrid(5), VarianceExploding(), r"levels from 0.02 to 100.*set sampler.grid.sigma_min"),
        (lambda: LogSNRGrid(5, 90, 100), EDM(), r"levels from 0 to 80.*set sampler.grid.sigma_min"),
        (lambda: FlowShiftGrid(5), TABLE, "a table of 1000 steps: use sampler/grid=uniform, log_snr"),
        (lambda: FlowShiftGrid(5, 0), CONTINUOUS, "shift = 0 must be positive"),
        (lambda: FlowShiftGrid(0), CONTINUOUS, "at least one step"),
        (lambda: TimesGrid([]), TABLE, r"different numbers above 0, not \[\]"),
        (lambda: TimesGrid([0.5, 0.5]), TABLE, "different numbers above 0"),
        (lambda: TimesGrid([1, -0.1]), TABLE, "different numbers above 0"),
        (lambda: TimesGrid([0.5, 2]), TABLE, "from 0 to 1, not 2"),
        (lambda: TimesGrid([1, 0.0005]), TABLE, "0.0005 is before the first of the schedule's 1000 steps"),
        (lambda: LevelsGrid([100, 1]), EDM(), r"levels from 0 to 80, and sampler.grid.levels goes from 1 to 100"),
        (lambda: LevelsGrid([50, 0.01]), VarianceExploding(), r"levels from 0.02 to 100"),
    ],
)
def test_refusals_teach(grid, schedule, message):
    with pytest.raises(ValueError, match=message):
        grid()(schedule)


def test_times_are_float64_whatever_the_default_type_is():
    torch.set_default_dtype(torch.float32)
    assert UniformGrid(10)(TABLE).dtype == UniformGrid(10)(CONTINUOUS).dtype == torch.float64


@pytest.mark.parametrize("schedule", [EDM(), linear(1000), CONTINUOUS])
def test_levels_at_equal_distances_in_log_snr(schedule):
    """torch.linspace(log sigma_max, log sigma_min, n).exp() of k-diffusion's `get_sigmas_exponential`."""
    low, high = 0.02, min(80.0, noise_level(schedule, torch.ones(1).double()).item())
    levels = noise_level(schedule, LogSNRGrid(9, 0.02)(schedule)[1:])
    np.testing.assert_allclose(levels, np.exp(np.linspace(np.log(low), np.log(high), 9)), rtol=1e-6)
    steep = noise_level(schedule, KarrasGrid(9, 0.02, rho=1e6)(schedule)[1:])
    np.testing.assert_allclose(levels, steep, rtol=1e-4)
    assert len(LogSNRGrid(1, 0.02)(schedule)) == 2


def test_a_table_is_not_asked_before_its_first_step():
    assert LogSNRGrid(9)(linear(1000))[1].item() == pytest.approx(1 / 1000)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_a_shift_multiplies_the_levels_of_a_flow(shift):
    times = FlowShiftGrid(10, shift)(CONTINUOUS)
    uniform = torch.arange(10).double() / 10
    torch.testing.assert_close(times[:-1] / (1 - times[:-1]), shift * uniform / (1 - uniform))
    assert times[-1] == 1


def test_given_times_and_levels():
    assert TimesGrid([1, 0.25, 0])(TABLE).tolist() == TimesGrid([0.25, 1])(CONTINUOUS).tolist() == [0, 0.25, 1]
    np.testing.assert_allclose(noise_level(EDM(), LevelsGrid([80, 3.5, 0.1, 0])(EDM())), [0, 0.1, 3.5, 80], rtol=1e-9)
