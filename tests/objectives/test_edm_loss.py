"""EDM's training distribution and weighting: what the two amount to."""

import numpy as np
import pytest
import torch
from edm import FakeF, fake_denoiser
from scipy import stats

from difflab import schedules
from difflab.noise import ImageNoise
from difflab.objectives import weightings
from difflab.objectives.time_samplers import LogNormal, Uniform
from difflab.parameterizations import EDM, Epsilon
from difflab.process import snr
from difflab.schedules import VariancePreserving, cosine, noise_level
from difflab.types import Condition

NOISE = ImageNoise(0, torch.arange(4000))


@pytest.mark.parametrize("schedule", [schedules.EDM(), schedules.EDM(300.0, 3.0), VariancePreserving()])
def test_log_levels_are_normal_under_any_schedule(schedule):
    t, weight = LogNormal(-1.2, 1.2)(NOISE, schedule)
    assert stats.kstest(torch.log(noise_level(schedule, t)), stats.norm(-1.2, 1.2).cdf).pvalue > 0.05
    assert (weight == 1).all()


def test_large_noise_falls_on_the_same_images_as_with_uniform_times():
    schedule = schedules.EDM()
    levels, times = (sampler(NOISE, schedule).t for sampler in (LogNormal(), Uniform()))
    assert (levels.argsort() == times.argsort()).all()


def test_levels_beyond_the_schedule_become_its_last():
    assert LogNormal(mean=20.0)(NOISE, schedules.EDM()).t.eq(1).all()
    t = LogNormal(mean=20.0)(NOISE, cosine(1000)).t
    assert t.max() <= 1


@pytest.mark.parametrize("sigma_data", [0.5, 0.8])
@pytest.mark.parametrize("schedule", [schedules.EDM(), VariancePreserving()])
def test_weighting_undoes_the_preconditioning(schedule, sigma_data):
    """lambda c_out^2 = 1 (Karras et al. 2022, section 5), and lambda is the paper's on the x_0 error."""
    t = torch.linspace(0.05, 0.95, 50, dtype=torch.float64)
    level = schedule(t)
    c = EDM(sigma_data)(t, *level, schedule.network_time(t))
    ratio, sigma = snr(level), (level.sigma / level.alpha).numpy()
    np.testing.assert_allclose(weightings.EDM(sigma_data)(ratio, c.c_out), 1, rtol=1e-12)
    of_x0 = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    np.testing.assert_allclose(weightings.EDM(sigma_data)(ratio, torch.ones_like(t)), of_x0, rtol=1e-12)
    eps = Epsilon()(t, *level, schedule.network_time(t))  # whatever is predicted
    np.testing.assert_allclose(weightings.EDM(sigma_data)(ratio, eps.c_out), of_x0 * sigma**2, rtol=1e-12)


@pytest.mark.parametrize("schedule", [schedules.EDM(), VariancePreserving()])
def test_input_and_target_of_the_network_have_unit_variance(schedule):
    """For independent x_0 of standard deviation d: the property from which the paper derives its coefficients (appendix B.6)."""
    d = 0.5
    t = torch.linspace(0.05, 0.95, 50, dtype=torch.float64)
    alpha, sigma = schedule(t)
    c = EDM(d)(t, alpha, sigma, schedule.network_time(t))
    np.testing.assert_allclose(c.c_in**2 * (alpha**2 * d**2 + sigma**2), 1, rtol=1e-12)
    target = ((1 - c.c_skip * alpha) * d / c.c_out) ** 2 + (c.c_skip * sigma / c.c_out) ** 2
    np.testing.assert_allclose(target, 1, rtol=1e-12)
    # of all c_skip with unit target variance, the one with the least c_out: derivative of the error's variance vanishes
    np.testing.assert_allclose((c.c_skip * alpha - 1) * alpha * d**2 + c.c_skip * sigma**2, 0, atol=1e-12)


def test_with_this_preconditioning_a_schedule_only_names_the_noise_levels():
    """The same network sees the same input, and says the same image, at x_t of either schedule."""
    level = torch.tensor([0.01, 0.5, 20.0], dtype=torch.float64)
    x = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = []
    for schedule in (schedules.EDM(), VariancePreserving()):
        t = schedules.time_of(schedule, level)
        x_t = x * schedule(t).alpha.reshape(-1, 1, 1, 1)
        images.append(fake_denoiser(schedule, EDM(), FakeF())(x_t, t, Condition()).x0)
    torch.testing.assert_close(images[0], images[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", [lambda: EDM(0), lambda: weightings.EDM(-1), lambda: LogNormal(std=0)])
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="must be positive"):
        make()
