"""Continuous schedules in closed form and beside EDM's code, and times found from noise levels."""

import numpy as np
import pytest
import torch
from guided import GOLDEN

from difflab.schedules import (
    EDM,
    ContinuousCosine,
    VarianceExploding,
    VariancePreserving,
    cosine,
    linear,
    noise_level,
    time_beyond,
    time_of,
)

PEER = np.load(GOLDEN / "schedules_edm.npz")


def times(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_edm_adds_noise_and_scales_nothing():
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    alpha, sigma = EDM(sigma_max=50.0, rho=3.0)(t)
    assert (alpha == 1).all()
    np.testing.assert_allclose(sigma, 50 * t.numpy() ** 3, rtol=1e-14)


def test_variance_preserving_is_edms_vp():
    schedule = VariancePreserving()
    t = torch.from_numpy(PEER["VPPrecond/t"])
    level = noise_level(schedule, t)
    np.testing.assert_allclose(level, PEER["VPPrecond/sigma(t)"], rtol=1e-4)  # its float32 cancels near zero
    np.testing.assert_allclose(level[8:], PEER["VPPrecond/sigma(t)"][8:], rtol=1e-6)
    alpha, sigma = schedule(t)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-14)
    assert schedule.time(times(0.0, 1.0)).tolist() == pytest.approx([1e-5, 1.0], abs=1e-15)


def test_variance_preserving_is_the_limit_of_the_linear_schedule():
    t = torch.linspace(0.05, 1, 20, dtype=torch.float64)
    errors = []
    for steps in (1000, 10_000):
        # beta_i of T steps is beta(i / T) / T, endpoints as in Song et al. 2021, appendix C
        discrete = linear(steps, beta_start=0.1 / 1000, beta_end=20 / 1000)
        errors.append((discrete(t).alpha / VariancePreserving()(t).alpha - 1).abs().max().item())
    assert errors[1] < errors[0] / 9
    assert errors[1] < 0.02


def test_variance_exploding_is_log_uniform():
    schedule = VarianceExploding(0.02, 100)
    np.testing.assert_allclose(schedule(times(0, 0.5, 1)).sigma, [0.02, np.sqrt(2), 100], rtol=1e-14)
    np.testing.assert_allclose(schedule.network_time(times(0.5)), np.log(np.sqrt(2) / 2), rtol=1e-14)


SCHEDULES = {
    "edm": EDM(),
    "vp": VariancePreserving(),
    "ve": VarianceExploding(),
    "cfg": ContinuousCosine(64, 64, -20, 20),
    "cosine": cosine(1000),
    "linear": linear(100),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_time_is_found_from_its_level(name):
    schedule = SCHEDULES[name]
    t = torch.linspace(0.01, 0.99, 37, dtype=torch.float64)
    level = noise_level(schedule, t)
    found = time_of(schedule, level)
    np.testing.assert_allclose(found, t, rtol=0, atol=2e-6 if schedule.steps else 1e-14)
    np.testing.assert_allclose(noise_level(schedule, found), level, rtol=1e-12)


def test_levels_that_a_schedule_does_not_have_become_its_ends():
    assert time_of(VarianceExploding(0.02, 100), times(1e-3, 1e3)).tolist() == [0, 1]
    assert time_of(EDM(), times(80.0, 1e9)).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["edm", "vp", "ve"])
def test_endless_schedules_go_on_above_their_end(name):
    schedule = SCHEDULES[name]
    level = noise_level(schedule, times(1.0)) * times(1.0, 1.0001, 2**0.5, 1000.0)
    found = time_beyond(schedule, level)
    assert found[0] == pytest.approx(1, abs=1e-14)
    assert (found.diff() > 0).all()
    np.testing.assert_allclose(noise_level(schedule, found), level, rtol=1e-12)
    assert schedule.network_time(found).isfinite().all()


@pytest.mark.parametrize("name", ["cfg", "cosine", "linear"])
def test_others_end_at_1(name):
    schedule = SCHEDULES[name]
    assert time_beyond(schedule, 3 * noise_level(schedule, times(1.0))).tolist() == [1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EDM(sigma_max=0), "sigma_max = 0"),
        (lambda: VariancePreserving(beta_min=0), "beta_min = 0"),
        (lambda: VariancePreserving(time_min=1), "time_min = 1"),
        (lambda: VarianceExploding(2, 1), "sigma_min = 2"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
