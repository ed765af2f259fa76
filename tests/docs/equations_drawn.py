"""Noise goes out, with and without guidance: each equation evaluated in another way than difflab does, and compared with it."""

import math
from collections.abc import Callable

import torch
from equations import (
    ALPHA_BARS,
    BETAS,
    COSINE,
    LABELS,
    LINEAR,
    MIXTURE,
    NOBODY,
    NOISE,
    X_0,
    at,
    close,
    evaluates,
    normal,
    times,
)
from torch.distributions import Normal

from difflab.data import GaussianMixture
from difflab.guidance import ClassifierFree, ClassifierGuidance, MeanShiftAtImage
from difflab.likelihoods import ProbabilityFlow
from difflab.likelihoods.probability_flow import Rademacher
from difflab.noise import ImageNoise
from difflab.process import (
    eps_from_x0,
    perturb,
    posterior_mean,
    score_from_x0,
    transition,
)
from difflab.samplers import DDIM, DDPM, Euler, Heun, StochasticEuler
from difflab.samplers.diffusions import NoiseScale
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.samplers.last_steps import Mean
from difflab.schedules import EDM as EDMSchedule  # noqa: N811
from difflab.schedules import LinearPath
from difflab.types import Condition, Label, Prediction
from difflab.variances import FixedLarge, FixedSmall


def one_step(sampler, x_t: torch.Tensor, t: float, denoise=None) -> torch.Tensor:
    walk = sampler.walk(denoise or MIXTURE.denoiser(LINEAR), LINEAR, x_t, NOBODY, begin=t)
    return sampler.steps(walk)(walk.start(x_t), NOISE).image


@evaluates("Reverse step")
def reverse_step() -> None:
    """In DDPM's own symbols, from the 0-based step 399 of 1000."""
    beta, alpha_bar, before = BETAS[399], ALPHA_BARS[399], ALPHA_BARS[398]
    x_t = alpha_bar.sqrt() * X_0 + (1 - alpha_bar).sqrt() * normal("eps")
    eps = -(1 - alpha_bar).sqrt() * MIXTURE.score(x_t, *at(LINEAR, 0.4))
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / (1 - beta).sqrt()
    z = NOISE.normal("step", MIXTURE.shape, step=400)
    small = beta * (1 - before) / (1 - alpha_bar)
    for variance, var in ((FixedLarge(), beta), (FixedSmall(), small)):
        close(one_step(DDPM(UniformGrid(1000), variance), x_t, 0.4), mean + var.sqrt() * z, 1e-7)


@evaluates("DDIM step")
def ddim_step() -> None:
    grid = UniformGrid(10)
    t, s = 0.4, float(max(time for time in grid(LINEAR) if time < 0.4 - 1e-9))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = ([float(value[0]) for value in at(LINEAR, time)] for time in (t, s))
    x_t = alpha_t * X_0 + sigma_t * normal("eps")
    eps = -sigma_t * MIXTURE.score(x_t, *at(LINEAR, t))
    predicted = (x_t - sigma_t * eps) / alpha_t
    for eta in (0.0, 0.5, 1.0):
        tau = eta * sigma_s / sigma_t * math.sqrt(1 - alpha_t**2 / alpha_s**2)
        z = NOISE.normal("step", MIXTURE.shape, step=int((grid(LINEAR) < t - 1e-9).sum()))
        expected = alpha_s * predicted + math.sqrt(sigma_s**2 - tau**2) * eps + tau * z
        close(one_step(DDIM(grid, eta), x_t, t), expected)
    close(one_step(DDIM(grid, 1.0), x_t, t), one_step(DDPM(grid, FixedSmall()), x_t, t), 1e-7)


def score_of(log_density: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(log_density(leaf).sum(), leaf)[0]


@evaluates("Score")
def score() -> None:
    level = at(COSINE, 0.4)
    x_t = perturb(X_0, normal("eps"), level)
    expected = score_of(lambda x: MIXTURE.log_prob(x, *level), x_t)
    x_0 = MIXTURE.denoise(x_t, *level)
    close(score_from_x0(x_t, x_0, level), expected)
    close(-eps_from_x0(x_t, x_0, level) / level.sigma[:, None, None, None], expected)


@evaluates("Probability-flow equation")
def probability_flow() -> None:
    """Its slope by autograd, and its end: what is Gaussian with std d is only scaled, by d / sqrt(d^2 + sigma^2)."""
    x_t = perturb(X_0, normal("eps"), at(LINEAR, 0.4))
    grid = UniformGrid(10)
    s = max(float(time) for time in grid(LINEAR) if time < 0.4 - 1e-9)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = ([float(value[0]) for value in at(LINEAR, time)] for time in (0.4, s))
    slope = -sigma_t / alpha_t * alpha_t * score_of(lambda x: MIXTURE.log_prob(x, *at(LINEAR, 0.4)), x_t)
    expected = alpha_s * (x_t / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * slope)
    close(one_step(Euler(grid), x_t, 0.4), expected, 1e-7)
    close(one_step(DDIM(grid), x_t, 0.4), expected, 1e-7)

    mean, d = torch.full((1, 1, 2, 2), 0.3, dtype=torch.float64), 0.2
    schedule, one = EDMSchedule(), GaussianMixture(mean, [1.0], d)
    x_T = 80 * normal("x_T")
    end = mean + (x_T - mean) * d / math.sqrt(d**2 + 80**2)
    close(Heun(KarrasGrid(200))(one.denoiser(schedule), schedule, x_T, NOBODY, NOISE), end, 1e-3)


@evaluates("Stochastic samplers of a flow")
def stochastic_samplers() -> None:
    """A step with the score by autograd, and v from it; w = sigma, which is t on the straight path."""
    path, t, s = LinearPath(), 0.6, 0.5
    x_t = perturb(X_0, normal("eps"), at(path, t))
    score = score_of(lambda x: MIXTURE.log_prob(x, *at(path, t)), x_t)
    v = -score * t - (x_t + t**2 * score) / (1 - t)  # eps - x_0
    z = NOISE.normal("step", tuple(x_t.shape[1:]), step=6)
    expected = x_t - (t - s) * (v - NoiseScale()(path, times(t))[0] / 2 * score) + math.sqrt(t * (t - s)) * z
    sampler = StochasticEuler(UniformGrid(10), NoiseScale(), Mean())
    walk = sampler.walk(MIXTURE.denoiser(path), path, x_t, NOBODY, begin=t)
    close(sampler.steps(walk)(walk.start(x_t), NOISE).image, expected, 1e-7)


@evaluates("Likelihood of the flow")
def likelihood_of_the_flow() -> None:
    """The density of one Gaussian, whose divergence every probe gives exactly."""
    one = GaussianMixture(torch.full((1, 1, 2, 2), 0.2), [1.0], 0.4)

    class Model:
        schedule = LINEAR

    flow = ProbabilityFlow(Rademacher())
    x_0 = X_0[:2]
    bits = flow(
        Model,
        one.denoiser(LINEAR),
        x_0,
        NOBODY,
        ImageNoise(0, torch.arange(2)),
        flow.times(LINEAR, DDIM(UniformGrid(10))),
        None,
    )
    exact = -Normal(0.2, 0.4).log_prob(x_0).mean((1, 2, 3)) / math.log(2)
    close(bits.prior.double(), exact, 0.01)  # begin: an image is taken for one of noise level 0.01


def classify(schedule):
    """The Bayes classifier of noised images, as logits."""

    def logits(x: torch.Tensor, t: torch.Tensor, /) -> torch.Tensor:
        of_classes = [MIXTURE.log_prob(x, *schedule(t), torch.full((len(x),), k)) for k in range(3)]
        return torch.stack(of_classes, 1) + MIXTURE.weights.log()

    return logits


def of_all(schedule):
    """The model that knows no classes."""
    return lambda x, t, cond, /: Prediction(MIXTURE.denoise(x, *schedule(t)))


def class_score(x_t: torch.Tensor, schedule, t: float) -> torch.Tensor:
    """The gradient of log p(y | x_t), by Bayes' rule from densities."""

    def log_p(x):
        return MIXTURE.log_prob(x, *at(schedule, t), LABELS) - MIXTURE.log_prob(x, *at(schedule, t))

    return score_of(log_p, x_t)


@evaluates("Guidance by a classifier")
def guidance_by_a_classifier() -> None:
    cond, level = Condition(label=Label(LABELS)), at(COSINE, 0.4)
    x_t = perturb(X_0, normal("eps"), level)
    plain = MIXTURE.denoise(x_t, *level)
    eps = eps_from_x0(x_t, plain, level)
    for w in (1.5, 2.0, 4.0):
        guided = ClassifierGuidance(classify(COSINE), COSINE, w)(of_all(COSINE))(x_t, times(0.4), cond).x0
        expected = eps - (w - 1) * level.sigma[:, None, None, None] * class_score(x_t, COSINE, 0.4)
        close(eps_from_x0(x_t, guided, level), expected, 1e-7)
        if w == 2:
            close(guided, MIXTURE.denoise(x_t, *level, LABELS), 1e-7)


@evaluates("Shift of the mean")
def shift_of_the_mean() -> None:
    cond, w = Condition(label=Label(LABELS)), 3.0
    s, t = at(LINEAR, 0.399), at(LINEAR, 0.4)
    x_t, step = perturb(X_0, normal("eps"), t), transition(s, t)
    shifted = MeanShiftAtImage(classify(LINEAR), LINEAR, UniformGrid(1000), FixedSmall(), w)(of_all(LINEAR))
    means = [posterior_mean(step, denoise(x_t, times(0.4), cond).x0, x_t) for denoise in (shifted, of_all(LINEAR))]
    variance = step.posterior_var[:, None, None, None]
    close((means[0] - means[1]) / variance, (w - 1) * class_score(x_t, LINEAR, 0.4), 1e-6)


@evaluates("Classifier-free guidance")
def classifier_free_guidance() -> None:
    """In the paper's words, (1 + w') cond - w' uncond of predicted noise; and as guidance of the model of the class by its classifier."""
    cond, level, w = Condition(label=Label(LABELS)), at(COSINE, 0.4), 2.5
    x_t = perturb(X_0, normal("eps"), level)
    guided = ClassifierFree(w)(MIXTURE.denoiser(COSINE))(x_t, times(0.4), cond).x0
    of_class, uncond = (eps_from_x0(x_t, MIXTURE.denoise(x_t, *level, y), level) for y in (LABELS, None))
    close(eps_from_x0(x_t, guided, level), w * of_class - (w - 1) * uncond, 1e-7)
    score = MIXTURE.score(x_t, *level) + w * class_score(x_t, COSINE, 0.4)
    close(score_from_x0(x_t, guided, level), score, 1e-7)
