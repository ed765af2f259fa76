import math

import pytest
import torch
from recipes import gmm, gmm_denoise
from scipy.linalg import sqrtm

from difflab.data import DataError, GaussianMixture, MixtureImages
from difflab.noise import ImageNoise
from difflab.types import AlphaSigma, Condition, Label

MIXTURE = GaussianMixture.random(3, (1, 2, 2), spread=0.5, std=0.3, seed=4)


def inputs(count: int = 6, shape=(1, 2, 2)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = ImageNoise(11, torch.arange(count))
    return noise.normal("x", shape), noise.uniform("alpha") + 0.2, 2 * noise.uniform("sigma") + 0.05


def test_denoiser_agrees_with_the_golden_mixture():
    means, weights, std = gmm()
    mixture = GaussianMixture(torch.as_tensor(means), torch.as_tensor(weights), std)
    x_t, _, sigma = inputs(8, (3, 4, 4))
    expected = gmm_denoise(x_t, sigma)
    torch.testing.assert_close(mixture.denoise(x_t, torch.ones(8), sigma), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.5), (0.6, 0.8), (0.1, 1.0), (1.0, 3.0)])
def test_posterior_mean_and_density_agree_with_integration_over_x0(alpha, sigma):
    mixture = GaussianMixture([[[[-0.7]]], [[[0.4]]]], [1, 3], 0.2)
    x_0 = torch.linspace(-4, 4, 20001, dtype=torch.float64)
    prior = sum(
        w * torch.exp(-((x_0 - m) ** 2) / 2 / 0.04) / math.sqrt(2 * math.pi * 0.04)
        for w, m in [(0.25, -0.7), (0.75, 0.4)]
    )
    x_t = torch.tensor([-1.5, 0.0, 0.3, 2.0], dtype=torch.float64)
    likelihood = torch.exp(-((x_t[:, None] - alpha * x_0) ** 2) / 2 / sigma**2) / math.sqrt(2 * math.pi) / sigma
    evidence = torch.trapezoid(prior * likelihood, x_0)
    mean = torch.trapezoid(x_0 * prior * likelihood, x_0) / evidence
    image, a, s = x_t[:, None, None, None], torch.full_like(x_t, alpha), torch.full_like(x_t, sigma)
    torch.testing.assert_close(mixture.denoise(image, a, s).flatten(), mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixture.log_prob(image, a, s), evidence.log(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2, -1, 1, 0])])
def test_score_is_the_gradient_of_the_log_likelihood_and_obeys_tweedie(labels):
    x_t, alpha, sigma = inputs()
    x_t.requires_grad_()
    (gradient,) = torch.autograd.grad(MIXTURE.log_prob(x_t, alpha, sigma, labels).sum(), x_t)
    score = MIXTURE.score(x_t, alpha, sigma, labels)
    torch.testing.assert_close(score, gradient, rtol=1e-10, atol=1e-10)
    a, s = alpha[:, None, None, None], sigma[:, None, None, None]
    torch.testing.assert_close(MIXTURE.denoise(x_t, alpha, sigma, labels), (x_t + s**2 * score) / a)


def test_a_label_means_its_component_and_the_null_label_the_whole_mixture():
    x_t, alpha, sigma = inputs()
    for k in range(3):
        alone = GaussianMixture(MIXTURE.means[k : k + 1], [1.0], MIXTURE.std)
        label = torch.full((6,), k)
        torch.testing.assert_close(MIXTURE.denoise(x_t, alpha, sigma, label), alone.denoise(x_t, alpha, sigma))
        torch.testing.assert_close(MIXTURE.log_prob(x_t, alpha, sigma, label), alone.log_prob(x_t, alpha, sigma))
    null = torch.full((6,), -1)
    assert torch.equal(MIXTURE.denoise(x_t, alpha, sigma, null), MIXTURE.denoise(x_t, alpha, sigma))


def test_the_optimal_denoiser_speaks_the_common_language():
    def schedule(t):
        return AlphaSigma(1 - t, t)

    x_t, _, _ = inputs()
    t, label = torch.linspace(0.1, 0.9, 6).double(), torch.tensor([0, 1, 2, -1, 1, 0])
    prediction = MIXTURE.denoiser(schedule)(x_t.float(), t, Condition(label=Label(label)))
    assert prediction.x0.dtype == torch.float32
    torch.testing.assert_close(prediction.x0, MIXTURE.denoise(x_t.float(), 1 - t, t, label).float())


def test_moments_agree_with_draws():
    images = MixtureImages(MIXTURE, 40_000, seed=1)
    draws = images.images(range(40_000)).flatten(1).double()
    mean, covariance = MIXTURE.moments()
    standard_error = (covariance.diagonal() / len(draws)).sqrt()
    assert ((draws.mean(0) - mean).abs() < 4.5 * standard_error).all()
    torch.testing.assert_close(draws.T.cov(), covariance, rtol=0, atol=0.01)
    shares = images.labels.bincount().double() / len(draws)
    assert ((shares - MIXTURE.weights).abs() < 0.012).all()
    for k in range(3):  # a label belongs to its image
        centre = draws[images.labels == k].mean(0)
        assert ((centre - MIXTURE.means[k].flatten()).abs() < 0.02).all()


def test_a_draw_does_not_depend_on_what_is_drawn_with_it():
    images = MixtureImages(MIXTURE, 100)
    assert torch.equal(images.images([7, 40]), images.images(range(100))[[7, 40]])
    assert images.images([0]).dtype == torch.float32
    assert images.fingerprint != MixtureImages(MIXTURE, 100, seed=1).fingerprint


def test_frechet_distance():
    mean, covariance = MIXTURE.moments()
    assert MIXTURE.frechet_distance(mean, covariance) == pytest.approx(0, abs=1e-12)
    assert MIXTURE.frechet_distance(mean + 2, covariance) == pytest.approx(4 * 4, abs=1e-10)
    other = torch.tensor([[2.0, 0.3, 0, 0], [0.3, 1, 0, 0.1], [0, 0, 0.5, 0], [0, 0.1, 0, 0.2]]).double()
    cross = sqrtm((covariance @ other).numpy()).trace().real
    expected = float(covariance.trace() + other.trace()) - 2 * cross
    assert MIXTURE.frechet_distance(mean, other) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("means", "weights", "std", "message"),
    [
        ([0.0], [1.0], 0.1, r"means \[K, C, ...\]"),
        ([[[[0.0]]]], [0.5, 0.5], 0.1, r"weights \[K\]"),
        ([[[[0.0]]]], [0.0], 0.1, "positive"),
        ([[[[0.0]]]], [1.0], 0.0, "positive"),
    ],
)
def test_a_mixture_that_is_none_is_refused(means, weights, std, message):
    with pytest.raises(DataError, match=message):
        GaussianMixture(means, weights, std)


def test_a_mixture_in_the_plane_is_a_set_of_points():
    plane = GaussianMixture([[0.0, 1.0], [1.0, 0.0]], [1.0, 1.0], 0.1)
    assert plane.sample(ImageNoise(0, torch.arange(5)), torch.zeros(5, dtype=torch.long)).shape == (5, 2)
    points = MixtureImages(plane, 10)
    assert points.shape == (2,)
    assert points.images(range(10)).shape == (10, 2)
