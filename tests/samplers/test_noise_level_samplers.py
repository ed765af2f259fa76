"""Heun and Euler where everything is known in closed form: Gaussian data and mixtures of Gaussians."""

import numpy as np
import pytest
import torch
from gaussian import affine_map, gaussian_denoiser

from difflab import parameterizations
from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.samplers import DDIM, Euler, Heun, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import EDM, Chain, VarianceExploding, VariancePreserving, cosine, noise_level, zero_terminal_snr
from difflab.types import Condition
from difflab.variances import FixedSmall
from tiny import TinyNetwork

MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.3, seed=1)
NOISE = ImageNoise(0, torch.arange(8))


def sample(sampler, schedule):
    x_T = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    return sampler(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)


@pytest.mark.parametrize("schedule", [EDM(), VariancePreserving()], ids=["edm", "vp"])
@pytest.mark.parametrize(("solver", "order"), [(Euler, 1), (Heun, 2)])
def test_order_of_convergence(schedule, solver, order):
    reference = sample(Heun(KarrasGrid(1600)), schedule)
    errors = [(sample(solver(KarrasGrid(n)), schedule) - reference).abs().max().item() for n in (50, 100, 200)]
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(rates, order, atol=0.25)


def test_exact_map_of_gaussian_data():
    """dx/dsigma = sigma (x - mu) / (sigma^2 + s^2), so x - mu shrinks by s / sqrt(s^2 + sigma_max^2)."""
    mu, s, schedule = 0.3, 0.5, EDM()
    found = affine_map(Heun(KarrasGrid(300)), schedule, gaussian_denoiser(schedule, mu, s))
    shrink = s / np.sqrt(s**2 + 80**2)
    assert found.gain == pytest.approx(shrink, rel=1e-3)
    assert found.offset == pytest.approx(mu * (1 - shrink), rel=1e-3)
    assert found.added == 0


@pytest.mark.parametrize(("solver", "near"), [(Euler, 0.1), (Heun, 0.01)])
def test_churn_keeps_the_distribution(solver, near):
    mu, s, schedule = 0.3, 0.5, EDM(sigma_max=120.0)
    sampler = solver(KarrasGrid(1000), s_churn=200.0, s_min=0.01, s_max=50.0)
    found = affine_map(sampler, schedule, gaussian_denoiser(schedule, mu, s))
    assert found.gain**2 * (80**2 + s**2) + found.added == pytest.approx(s**2, rel=near)
    assert found.added > 0.5 * s**2
    assert found.offset + found.gain * mu == pytest.approx(mu, abs=1e-3)


@pytest.mark.parametrize("schedule", [EDM(), VariancePreserving(), cosine(1000)], ids=["edm", "vp", "cosine"])
@pytest.mark.parametrize("grid", [KarrasGrid(9, 0.01), UniformGrid(9)], ids=["karras", "uniform"])
def test_euler_is_deterministic_ddim(schedule, grid):
    torch.testing.assert_close(sample(Euler(grid), schedule), sample(DDIM(grid), schedule), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("churn", [{}, {"s_churn": 3.0}], ids=["ode", "churn"])
def test_the_schedule_of_a_model_does_not_matter(churn):
    """A perfect model of any schedule is the same model, seen at x / alpha and sigma / alpha."""
    sampler = Heun(KarrasGrid(12, 0.05, 40.0), **churn)
    images = []
    for schedule in (EDM(), VariancePreserving(), VarianceExploding()):
        x_T = 40.0 * schedule(sampler.grid(schedule)[-1:]).alpha * NOISE.normal("x_T", MIXTURE.shape)
        images.append(sampler(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE))
    for other in images[1:]:
        torch.testing.assert_close(other, images[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", [Heun(KarrasGrid(5)), Euler(KarrasGrid(5), s_churn=4.0)], ids=["heun", "euler"])
def test_steps_are_told_as_they_are(sampler):
    schedule = VariancePreserving()
    x_T = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    steps = list(sampler.trajectory(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE))
    times = sampler.grid(schedule)
    assert [step.t for step in steps] == times[1:].flip(0).tolist()
    torch.testing.assert_close(steps[-1].x_s, steps[-1].x0)  # the last step goes to the denoised image
    if isinstance(sampler, Heun):
        # an image at t is alpha x_0 + noise of the size of sigma
        left = Chain(schedule, times)[1]
        residual = (steps[-2].x_s - left.alpha * steps[-1].x0).std()
        assert residual < 10 * left.sigma


def test_images_do_not_depend_on_the_batch():
    sampler, schedule = Heun(KarrasGrid(4), s_churn=2.0), EDM()
    seeds = torch.arange(6)
    whole = draw(MIXTURE.denoiser(schedule), schedule, sampler, MIXTURE.shape, seeds, Condition())
    part = draw(MIXTURE.denoiser(schedule), schedule, sampler, MIXTURE.shape, seeds[4:], Condition())
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole[4:], part, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("schedule", "ends_at"),
    [
        (EDM(), 80 * 2**0.5),
        (VarianceExploding(0.002, 80), 80 * 2**0.5),
        (EDM(sigma_max=30.0), 30 * 2**0.5),
        (cosine(1000), None),
    ],
    ids=["edm", "ve", "edm that ends below the grid", "table"],
)
def test_churn_raises_above_the_end_where_the_schedule_goes_on(schedule, ends_at):
    """Algorithm 2 knows no largest level; a table has one."""
    sampler, called = Euler(KarrasGrid(4, 0.05), s_churn=40.0), []

    def denoise(x, t, cond):
        called.append(noise_level(schedule, t)[0].item())
        return MIXTURE.denoiser(schedule)(x, t, cond)

    x_T = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    assert sampler(denoise, schedule, x_T, Condition(), NOISE).isfinite().all()
    first = noise_level(schedule, sampler.grid(schedule)[-1:]).item()
    assert called[0] == pytest.approx(
        ends_at or min(first * 2**0.5, noise_level(schedule, torch.ones(1).double()).item())
    )
    assert sampler.churn.above_end(schedule, Chain(schedule, sampler.grid(schedule))) == (
        pytest.approx(ends_at) if ends_at else None
    )


@pytest.mark.parametrize("schedule", [EDM(), VarianceExploding(), VariancePreserving()], ids=["edm", "ve", "vp"])
def test_a_network_is_asked_at_times_above_1(schedule):
    """The whole way: schedule, preconditioning, c_noise and the network's embedding of it."""
    torch.manual_seed(0)
    denoiser = Denoiser(TinyNetwork(), schedule, parameterizations.EDM(), FixedSmall())
    images = [
        draw(
            denoiser, schedule, Heun(KarrasGrid(4, 0.05, 200.0), s_churn=churn), (1, 4, 4), torch.arange(3), Condition()
        )
        for churn in (40.0, 0.0)
    ]
    assert images[0].isfinite().all()
    assert not torch.equal(images[0], images[1])


def test_the_grid_begins_where_the_schedule_ends():
    schedule = EDM(sigma_max=30.0)
    levels = noise_level(schedule, KarrasGrid(7)(schedule)[1:])
    assert levels[-1] == pytest.approx(30)
    assert levels[0] == pytest.approx(0.002)
    assert len(KarrasGrid(1)(schedule)) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KarrasGrid(0), "at least one step"),
        (lambda: KarrasGrid(5, sigma_min=2, sigma_max=1), "sigma_min = 2"),
        (lambda: KarrasGrid(5)(VarianceExploding()), r"levels from 0.02 to 100.*set sampler.grid.sigma_min"),
        (lambda: Heun(KarrasGrid(5), s_churn=-1), "s_churn = -1"),
        (lambda: Euler(KarrasGrid(5), s_min=2, s_max=1), "s_min = 2 is above"),
        (lambda: sample(Heun(UniformGrid(5)), zero_terminal_snr(cosine(100))), "no signal where the grid begins"),
    ],
)
def test_what_cannot_be_walked_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
