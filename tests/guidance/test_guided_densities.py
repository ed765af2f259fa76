"""Guidance of Gaussians and mixtures of them, where the guided density is known.

At every t the score of p(x_t | y)^w p(x_t)^(1 - w) is w score(y) + (1 - w) score(). That is the noised p(x | y)^w p(x)^(1 - w) only if
the two are Gaussians of equal covariance; then samples are compared, else scores and denoised images at each t.
"""

import pytest
import torch
import torch.nn.functional as F
from gaussian import gaussian_denoiser

from difflab.data.mixture import GaussianMixture
from difflab.guidance import (
    AdaptiveProjected,
    Autoguidance,
    ClassifierFree,
    ClassifierGuidance,
    ScoreAtPrediction,
    ScoreThroughDenoiser,
)
from difflab.noise import ImageNoise
from difflab.process import score_from_x0
from difflab.samplers import DDIM, Heun
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import VarianceExploding, cosine
from difflab.types import NULL_LABEL, Condition, Label, Prediction

SCHEDULE = cosine(1000)
MIXTURE = GaussianMixture.random(4, (1, 3, 3), spread=0.7, std=0.4, seed=5)
EXACT = MIXTURE.denoiser(SCHEDULE)
TIMES = torch.tensor([0.05, 0.3, 0.5, 0.8, 0.98], dtype=torch.float64)
X_T = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
LABEL = torch.tensor([0, 1, 2, 3, 1])
COND = Condition(label=Label(LABEL))


def log_prob(x_t, labels):
    return MIXTURE.log_prob(x_t, *SCHEDULE(TIMES), labels)


def classify(x_t, t, /):
    """log p(k) + log p(x_t | k), the exact classifier."""
    columns = [MIXTURE.log_prob(x_t, *SCHEDULE(t), torch.full((len(x_t),), k)) for k in range(4)]
    return MIXTURE.weights.log() + torch.stack(columns, dim=1)


@pytest.mark.parametrize("w", [-0.5, 2.0, 6.0])
def test_classifier_free_guidance_has_the_score_of_the_product(w):
    """Against the gradient of w log p(x_t | y) + (1 - w) log p(x_t), by autograd."""
    x_t = X_T.clone().requires_grad_()
    log_density = w * log_prob(x_t, LABEL) + (1 - w) * log_prob(x_t, None)
    (expected,) = torch.autograd.grad(log_density.sum(), x_t)
    guided = ClassifierFree(w)(EXACT)(X_T, TIMES, COND).x0
    torch.testing.assert_close(score_from_x0(X_T, guided, SCHEDULE(TIMES)), expected, rtol=1e-9, atol=1e-9)


def test_an_unconditional_model_and_a_classifier_at_w_2_are_the_conditional_model():
    def unconditional(x_t, t, cond, /):
        return EXACT(x_t, t, cond.null())

    with torch.no_grad():
        guided = ClassifierGuidance(classify, SCHEDULE, 2.0)(unconditional)(X_T, TIMES, COND).x0
    torch.testing.assert_close(guided, EXACT(X_T, TIMES, COND).x0, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("w", [0.0, 1.5, 5.0])
def test_a_conditional_model_and_a_classifier_are_classifier_free_guidance(w):
    by_classifier = ClassifierGuidance(classify, SCHEDULE, w)(EXACT)(X_T, TIMES, COND).x0
    torch.testing.assert_close(by_classifier, ClassifierFree(w)(EXACT)(X_T, TIMES, COND).x0, rtol=1e-9, atol=1e-9)


def test_examples_without_a_class_are_left_alone_by_the_classifier():
    cond = Condition(label=Label(torch.where(torch.arange(5) % 2 == 0, NULL_LABEL, LABEL)))
    guided = ClassifierGuidance(classify, SCHEDULE, 3.0)(EXACT)(X_T, TIMES, cond).x0
    plain = EXACT(X_T, TIMES, cond).x0
    assert torch.equal(guided[::2], plain[::2])
    assert (guided[1::2] - plain[1::2]).abs().amax((1, 2, 3)).min() > 1e-3
    with pytest.raises(ValueError, match="class of every image"):
        ClassifierGuidance(classify, SCHEDULE, 3.0)(EXACT)(X_T, TIMES, Condition())


def of_two_gaussians(schedule, there, other, s):
    """The denoiser of N(there, s^2) for a class and of N(other, s^2) without one."""
    conditional, unconditional = (gaussian_denoiser(schedule, mean, s) for mean in (there, other))

    def denoise(x_t, t, cond, /):
        known = (Label.of(cond).number >= 0)[:, None, None, None]
        return Prediction(torch.where(known, conditional(x_t, t, cond).x0, unconditional(x_t, t, cond).x0))

    return denoise


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [
        (DDIM(UniformGrid(250)), SCHEDULE),
        (Heun(KarrasGrid(60, 0.002, 80.0, 7.0)), VarianceExploding(0.001, 100.0)),
    ],
    ids=["ddim", "heun"],
)
def test_samples_of_two_gaussians_of_one_covariance_are_of_the_guided_gaussian(sampler, schedule):
    """p(x | y)^w p(x)^(1 - w) = N(m_0 + w (m_1 - m_0), s^2), also when all are noised: mean and variance of samples."""
    there, other, s, w = 0.4, -0.1, 0.3, 3.0
    noise = ImageNoise(0, torch.arange(4000))
    x_T = noise.normal("x_T", (1, 1, 1)) * float(torch.hypot(*schedule(sampler.grid(schedule)[-1:])))
    guided = ClassifierFree(w)(of_two_gaussians(schedule, there, other, s))
    sample = sampler(guided, schedule, x_T, Condition(label=Label(torch.zeros(4000, dtype=torch.long))), noise)
    own = sampler(gaussian_denoiser(schedule, other + w * (there - other), s), schedule, x_T, Condition(), noise)
    torch.testing.assert_close(sample, own, rtol=0, atol=1e-9)
    assert sample.mean().item() == pytest.approx(1.4, abs=4 * s / 4000**0.5)
    assert sample.std().item() == pytest.approx(s, rel=4 / 8000**0.5)


@pytest.mark.parametrize("w", [0.5, 1.5, 3.0])
def test_autoguidance_by_a_blurred_model_sharpens(w):
    """Main N(m, s^2), weak N(m', u^2), u > s: at each t a Gaussian of precision w/v + (1 - w)/v'."""
    m, s, m_weak, u = 0.3, 0.2, 0.1, 0.35
    guided = Autoguidance(gaussian_denoiser(SCHEDULE, m_weak, u), w)(gaussian_denoiser(SCHEDULE, m, s))
    found = score_from_x0(X_T, guided(X_T, TIMES, COND).x0, SCHEDULE(TIMES))
    alpha, sigma = (value[:, None, None, None] for value in SCHEDULE(TIMES))
    v, v_weak = alpha**2 * s**2 + sigma**2, alpha**2 * u**2 + sigma**2
    precision = w / v + (1 - w) / v_weak
    mean = alpha * (w * m / v + (1 - w) * m_weak / v_weak) / precision
    torch.testing.assert_close(found, (mean - X_T) * precision, rtol=1e-8, atol=1e-8)
    assert w <= 1 or (precision > 1 / v).all()


def tilted(x_0, /):
    """A score whose exponential moves every Gaussian and changes no variance."""
    return (x_0 * torch.linspace(-1, 2, 9, dtype=x_0.dtype).reshape(1, 3, 3)).sum((1, 2, 3))


def test_a_linear_score_moves_a_gaussian_by_its_variance_at_every_time():
    """N(m, s^2) exp((w - 1) c x) is N(m + (w - 1) s^2 c, s^2): both kinds are exact for it."""
    m, s, w = 0.2, 0.6, 2.5
    plain = gaussian_denoiser(SCHEDULE, m, s)
    shift = (w - 1) * s**2 * torch.linspace(-1, 2, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    for kind in (ScoreThroughDenoiser(tilted, SCHEDULE, w), ScoreAtPrediction(tilted, SCHEDULE, w, s)):
        with torch.no_grad():
            found = kind(plain)(X_T, TIMES, COND).x0
        torch.testing.assert_close(
            found, gaussian_denoiser(SCHEDULE, m + shift, s)(X_T, TIMES, COND).x0, rtol=1e-9, atol=1e-9
        )


def test_a_score_through_the_denoiser_moves_by_the_posterior_covariance():
    """Of a mixture, where it is no multiple of the identity: Cov[x_0 | x_t] from the responsibilities of the components."""
    index = torch.arange(1, 4)  # where several components have a say
    x_t, t = X_T[index], TIMES[index]
    alpha, sigma = (value[:, None] for value in SCHEDULE(t))
    v = alpha**2 * MIXTURE.std**2 + sigma**2
    means = torch.stack(
        [MIXTURE.denoise(x_t, alpha[:, 0], sigma[:, 0], torch.full((3,), k)).flatten(1) for k in range(4)], dim=1
    )
    weights = F.softmax(classify(x_t, t), dim=1)
    centred = means - (weights[:, :, None] * means).sum(1, keepdim=True)
    between = torch.einsum("bk,bkd,bke->bde", weights, centred, centred)
    covariance = between + (MIXTURE.std**2 * sigma**2 / v)[:, :, None] * torch.eye(9)
    gradient = torch.linspace(-1, 2, 9, dtype=torch.float64)
    assert between.abs().max() > 0.05
    found = ScoreThroughDenoiser(tilted, SCHEDULE, 2.0)(EXACT)(x_t, t, Condition()).x0 - EXACT(x_t, t, Condition()).x0
    torch.testing.assert_close(found.flatten(1), covariance @ gradient, rtol=1e-8, atol=1e-9)


def test_the_projected_guidance_without_its_three_ideas_is_classifier_free():
    for t, x_t in zip(TIMES.flip(0), X_T, strict=True):
        arguments = x_t.expand(5, -1, -1, -1), t.expand(5), COND
        plain = AdaptiveProjected(4.0, 1.0, torch.inf, 0.0)(EXACT)(*arguments).x0
        torch.testing.assert_close(plain, ClassifierFree(4.0)(EXACT)(*arguments).x0, rtol=1e-12, atol=1e-12)
