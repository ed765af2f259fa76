"""Sampling a Gaussian mixture with its exact denoiser, and one noise stream per image."""

import numpy as np
import pytest
import torch
from feeds import MixtureNetwork
from gaussian import affine_map, gaussian_denoiser
from recipes import gmm

from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.parameterizations import X0
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine, linear, zero_terminal_snr
from difflab.types import Condition, Prediction
from difflab.variances import FixedLarge, FixedSmall

SCHEDULE = cosine(1000)
SHAPE = (3, 4, 4)
SAMPLERS = {
    "ddpm-large": DDPM(UniformGrid(60), FixedLarge()),
    "ddpm-small": DDPM(UniformGrid(60), FixedSmall()),
    "ddim": DDIM(UniformGrid(60)),
    "ddim-eta": DDIM(UniformGrid(60), eta=0.7),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_mean_covariance_and_weights_of_a_mixture(name):
    n = 1000
    mu, weights, std = gmm()
    denoiser = Denoiser(MixtureNetwork(SCHEDULE), SCHEDULE, X0(), FixedSmall())
    noise = ImageNoise(0, torch.arange(n))
    x_T = SAMPLERS[name].initial_noise(SCHEDULE, SHAPE, noise)
    samples = SAMPLERS[name](denoiser, SCHEDULE, x_T, Condition(), noise).numpy().reshape(n, -1)
    centres = mu.reshape(len(weights), -1)
    mean = weights @ centres
    covariance = (centres - mean).T @ ((centres - mean) * weights[:, None]) + std**2 * np.eye(48)
    # each mean within its Monte Carlo error, 4.5 standard errors for the worst of 48
    z = (samples.mean(0) - mean) / np.sqrt(np.diag(covariance) / n)
    assert abs(z).max() < 4.5
    sampled = np.cov(samples.T)
    # variance along the directions between the clusters (the rarest of which has one sample in fifteen), and within them
    values, vectors = np.linalg.eigh(covariance)
    along = np.einsum("id,ij,jd->d", vectors, sampled, vectors)
    np.testing.assert_allclose(along[-4:], values[-4:], rtol=0.3)
    # sixty steps leave a known error of the variance within a cluster, which ends as a single Gaussian would
    _, gain, added = affine_map(SAMPLERS[name], SCHEDULE, gaussian_denoiser(SCHEDULE, 0.0, std))
    within = gain**2 + added
    assert abs(within / std**2 - 1) < 0.2
    np.testing.assert_allclose(along[:-4].mean(), within, rtol=0.03)
    which = ((samples[:, None] - centres) ** 2).sum(2).argmin(1)
    share = np.bincount(which, minlength=len(weights)) / n
    assert (abs(share - weights) < 4 * np.sqrt(weights * (1 - weights) / n)).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_image_depends_on_its_own_seed_alone(name):
    """Bit for bit: alone, in a batch of 8, in another order."""

    def denoise(x_t, t, cond, /):
        return Prediction(torch.tanh(0.8 * x_t + t.reshape(-1, 1, 1, 1)), 0.1 * x_t)

    def draw(seeds):
        noise = ImageNoise(0, torch.tensor(seeds))
        return SAMPLERS[name](
            denoise, SCHEDULE, SAMPLERS[name].initial_noise(SCHEDULE, SHAPE, noise), Condition(), noise
        )

    whole = draw([0, 1, 2, 3, 4, 5, 6, 7])
    assert torch.equal(whole[[5, 2]], draw([5, 2]))
    for seed in (0, 3, 7):
        assert torch.equal(whole[seed : seed + 1], draw([seed]))
    assert len({tuple(image.flatten().tolist()) for image in whole}) == 8


def test_a_trajectory_ends_at_the_sample_and_knows_its_times():
    sampler = SAMPLERS["ddpm-small"]
    denoiser = Denoiser(MixtureNetwork(SCHEDULE), SCHEDULE, X0(), FixedSmall())
    noise = ImageNoise(0, torch.arange(2))
    x_T = sampler.initial_noise(SCHEDULE, SHAPE, noise)
    with torch.no_grad():
        steps = list(sampler.trajectory(denoiser, SCHEDULE, x_T, Condition(), noise))
    assert torch.equal(steps[-1].x_s, sampler(denoiser, SCHEDULE, x_T, Condition(), noise))
    assert torch.equal(steps[-1].x_s, steps[-1].x0)  # no noise is added in the last step
    assert [step.t for step in steps] == sampler.grid(SCHEDULE)[1:].flip(0).tolist()


def test_sampling_keeps_the_type_of_the_images_and_no_graph():
    sampler = SAMPLERS["ddim-eta"]
    weight = torch.ones((), requires_grad=True)
    noise = ImageNoise(0, torch.arange(2))
    x_T = sampler.initial_noise(SCHEDULE, SHAPE, noise).float()
    sample = sampler(lambda x_t, t, cond: Prediction(weight * torch.tanh(x_t)), SCHEDULE, x_T, Condition(), noise)
    assert sample.dtype == torch.float32
    assert not sample.requires_grad


def test_a_variance_that_rounding_makes_negative_is_none():
    """At eta = 1 and without signal all of sigma_s^2 is new noise; a hair more must not give NaN."""
    schedule = zero_terminal_snr(linear(100))
    x_T = torch.ones(1, *SHAPE, dtype=torch.float64)
    sampler = DDIM(UniformGrid(5), eta=1 + 1e-12)
    sample = sampler(
        lambda x_t, t, cond: Prediction(torch.tanh(x_t)), schedule, x_T, Condition(), ImageNoise(0, torch.arange(1))
    )
    assert torch.isfinite(sample).all()


def test_negative_eta_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        DDIM(UniformGrid(10), eta=-0.1)
