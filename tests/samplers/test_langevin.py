"""Annealed Langevin dynamics where everything is known: Gaussian data, a mixture, and one walk under two schedules."""

import numpy as np
import pytest
import torch

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.samplers import AnnealedLangevin, draw
from difflab.samplers.grids import UniformGrid
from difflab.samplers.priors import NormalPrior, UniformPrior
from difflab.schedules import GeometricLadder, Tabulated, VariancePreserving
from difflab.schedules.ladder import step_size
from difflab.types import Condition

LADDER = GeometricLadder(20, 0.05, 5.0)
MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.3, seed=1)


def drawn(data, sampler, schedule, count):
    """Images of the exact denoiser."""
    sampler.check(schedule)
    return draw(data.denoiser(schedule), schedule, sampler, data.shape, torch.arange(count), Condition(), torch.float64)


@pytest.mark.parametrize("last_denoising", [False, True])
def test_mean_and_variance_of_gaussian_data_step_by_step(last_denoising):
    """x_0 = mu + gain (x - mu), so that each step multiplies x - mu by 1 - r (1 - gain) and adds a variance of 2 r sigma^2."""
    mu, std, r, repeats = 0.3, 0.5, 0.1, 3
    data = GaussianMixture(torch.full((1, 1, 8, 8), mu), torch.ones(1), std)
    away, var = -mu, 1 / 3
    for sigma in LADDER(torch.arange(20, 0, -1).double() / 20).sigma.tolist():
        gain = std**2 / (std**2 + sigma**2)
        for _ in range(repeats):
            factor = 1 - r * (1 - gain)
            away, var = factor * away, factor**2 * var + 2 * r * sigma**2
    if last_denoising:
        away, var = gain * away, gain**2 * var
    images = drawn(data, AnnealedLangevin(UniformGrid(20), repeats, r, last_denoising), LADDER, 400)
    assert images.mean().item() == pytest.approx(mu + away, abs=4 * var**0.5 / 160)
    assert images.var().item() == pytest.approx(var, rel=4 * (2 / 25600) ** 0.5)


def test_the_recommended_step_keeps_a_small_hill_as_wide_as_it_is():
    """Proposition 3 of NCSNv2: after T steps the variance of noise around one image is nearly the level's, and no other r does better."""
    gamma, repeats = 1.2, 5

    def left(r):
        var = gamma**2
        for _ in range(repeats):
            var = (1 - r) ** 2 * var + 2 * r
        return var

    best = step_size(gamma, repeats)
    assert all(left(best) < left(other) for other in (0.7 * best, 1.4 * best))
    assert left(best) < 1 + 0.6 * (gamma**2 - 1)


def test_a_mixture_comes_out_with_its_components_and_moments():
    """60 levels, four large steps each: 241 calls."""
    schedule = GeometricLadder(60, 0.02, 8.0)
    images = drawn(MIXTURE, AnnealedLangevin(UniformGrid(60), 4, 0.3), schedule, 2000)
    flat = images.flatten(1)
    assert MIXTURE.frechet_distance(flat.mean(0), torch.cov(flat.T)) < 0.03
    nearest = torch.cdist(flat, MIXTURE.means.flatten(1)).argmin(1)
    x_0 = MIXTURE.sample(noise := ImageNoise(5, torch.arange(20_000)), MIXTURE.sample_labels(noise))
    true = torch.cdist(x_0.flatten(1), MIXTURE.means.flatten(1)).argmin(1)
    shares, expected = (found.bincount(minlength=3) / len(found) for found in (nearest, true))
    assert (shares - expected).abs().max() < 0.03


def test_only_the_levels_of_a_schedule_matter():
    """The same levels with a variance that is preserved: the same images, to rounding."""
    sigma = LADDER(torch.arange(1, 21).double() / 20).sigma.numpy()
    alpha_bar = 1 / (1 + sigma**2)
    preserving = Tabulated(1 - alpha_bar / np.append(1.0, alpha_bar[:-1]))
    sampler = AnnealedLangevin(UniformGrid(20), 2, 0.1, prior=UniformPrior())
    torch.testing.assert_close(drawn(MIXTURE, sampler, preserving, 3), drawn(MIXTURE, sampler, LADDER, 3))


def test_an_image_does_not_depend_on_those_beside_it():
    sampler = AnnealedLangevin(UniformGrid(8), 2, 0.1, prior=NormalPrior())
    denoise = MIXTURE.denoiser(LADDER)

    def some(*seeds):
        return draw(denoise, LADDER, sampler, (1, 2, 2), torch.tensor(seeds), Condition(), torch.float64)

    torch.testing.assert_close(some(3, 7, 5)[1:2], some(7), rtol=0, atol=1e-14)
    assert (some(3) - some(5)).abs().max() > 0.1


def test_uniform_images_go_from_black_to_white():
    x_T = AnnealedLangevin(UniformGrid(8)).initial_noise(
        VariancePreserving(), (1, 32, 32), ImageNoise(0, torch.arange(4))
    )
    alpha = VariancePreserving()(torch.ones(1).double()).alpha.item()
    assert alpha * 0.99 < x_T.abs().max().item() < alpha
    assert (x_T / alpha).var().item() == pytest.approx(1 / 3, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": 0}, "repeats=0: each level has at least one step"),
        ({"step_size": 1.0}, r"step_size=1.0 is a share of sigma\^2"),
        ({"step_size": -0.1}, "above 0 and below 1"),
    ],
)
def test_steps_that_cannot_be_taken_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AnnealedLangevin(UniformGrid(4), **arguments)


def test_a_level_without_signal_is_refused():
    with pytest.raises(ValueError, match="leaves no signal where the grid begins: use schedule=geometric_ladder"):
        AnnealedLangevin(UniformGrid(4)).check(Tabulated([0.1, 0.2, 0.5, 1.0]))
