"""Shifts of the mean: against a loop of our own, against the score form, and at the edges."""

import math

import pytest
import torch

from difflab.data import GaussianMixture
from difflab.guidance import ClassifierGuidance, MeanShiftAtImage, MeanShiftAtMean
from difflab.noise import ImageNoise
from difflab.process import over, posterior_mean
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, VariancePreserving
from difflab.types import Condition, Label
from difflab.variances import FixedLarge, FixedSmall, Interpolated

MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.7, std=0.4, seed=1)
SCHEDULE = VariancePreserving()
DENOISE = MIXTURE.denoiser(SCHEDULE)
SEEDS = torch.arange(40)
X_T = ImageNoise(5, SEEDS).normal("x_T", MIXTURE.shape)
COND = Condition(label=Label(SEEDS % 3))
NOISE = ImageNoise(7, SEEDS)
SHIFTS = {"image": MeanShiftAtImage, "mean": MeanShiftAtMean}


def classify(x_t, t, /):
    """The exact classifier: log p(x_t, y) for each component."""
    alpha, sigma = SCHEDULE(t)
    each = [MIXTURE.log_prob(x_t, alpha, sigma, torch.full((len(x_t),), k)) for k in range(3)]
    return torch.stack(each, dim=1) + MIXTURE.weights.log()


def unconditional(x_t, t, cond, /):
    return DENOISE(x_t, t, Condition())


def gradient_of(x, t, label):
    """grad log p(y | x) = score of the component - score of the mixture, in closed form."""
    alpha, sigma = SCHEDULE(t)
    return MIXTURE.score(x, alpha, sigma, label) - MIXTURE.score(x, alpha, sigma)


@pytest.mark.parametrize("where", SHIFTS)
@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge(), Interpolated(0.3)])
def test_the_sampler_takes_the_steps_of_the_paper(where, variance):
    """x_s ~ N(mean + (w - 1) Sigma grad log p(y | .), Sigma), written out."""
    grid, w, x = UniformGrid(7), 3.0, X_T
    chain = Chain(SCHEDULE, grid(SCHEDULE))
    for i in range(len(chain), 0, -1):
        index = torch.full((len(x),), i)
        step, t, s = chain.transition(index), chain.times[index], chain.times[index - 1]
        mean = posterior_mean(step, DENOISE(x, t, Condition()).x0, x)
        std = torch.exp(0.5 * variance.log_var(None, step, x))
        Sigma = over(step.posterior_var, x) if isinstance(variance, FixedSmall) else std**2
        g = (
            gradient_of(x, t, Label.of(COND).number)
            if where == "image"
            else gradient_of(mean, s if i > 1 else t, Label.of(COND).number)
        )
        mean = mean + (w - 1) * Sigma * g
        x = mean if i == 1 else mean + std * NOISE.normal("step", MIXTURE.shape, step=i)
    guided = SHIFTS[where](classify, SCHEDULE, grid, variance, w)(unconditional)
    sample = DDPM(grid, variance)(guided, SCHEDULE, X_T, COND, NOISE)
    torch.testing.assert_close(sample, x, rtol=1e-9, atol=1e-9)


def test_in_one_step_it_is_the_score_form_times_a_known_factor():
    """Both shift x_0 along the same gradient; the shifts differ by alpha_ts Sigma / var_ts, which is alpha_ts for Sigma = beta."""
    grid, index = UniformGrid(9), torch.arange(len(SEEDS)) % 9 + 1
    chain = Chain(SCHEDULE, grid(SCHEDULE))
    t, step = chain.times[index], chain.transition(index)
    for variance, factor in (
        (Interpolated(1.0), step.alpha_ts),
        (FixedSmall(), step.alpha_ts * step.posterior_var / step.var_ts),
    ):
        by_mean = MeanShiftAtImage(classify, SCHEDULE, grid, variance, 2.5)(unconditional)(X_T, t, COND).x0
        by_score = ClassifierGuidance(classify, SCHEDULE, 2.5)(unconditional)(X_T, t, COND).x0
        plain = unconditional(X_T, t, COND).x0
        torch.testing.assert_close(by_mean - plain, over(factor, X_T) * (by_score - plain), rtol=1e-9, atol=1e-10)


def test_the_exact_score_form_at_2_is_the_conditional_model():
    grid = UniformGrid(20)
    guided = ClassifierGuidance(classify, SCHEDULE, 2.0)(unconditional)
    one, other = (DDPM(grid, FixedSmall())(denoise, SCHEDULE, X_T, COND, NOISE) for denoise in (guided, DENOISE))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def distance(where, variance, steps):
    """Between samples under a shift of the mean and under the score form, both at w = 2."""
    grid = UniformGrid(steps)
    shifted = SHIFTS[where](classify, SCHEDULE, grid, variance, 2.0)(unconditional)
    one, other = (DDPM(grid, variance)(denoise, SCHEDULE, X_T, COND, NOISE) for denoise in (shifted, DENOISE))
    return float((one - other).square().mean().sqrt())


@pytest.mark.parametrize("where", SHIFTS)
@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge()])
def test_it_tends_to_the_score_form_with_the_first_order_of_the_step(where, variance):
    few, many = distance(where, variance, 32), distance(where, variance, 512)
    assert math.log2(few / many) / 4 == pytest.approx(1, abs=0.25)
    assert many < 0.01


@pytest.mark.parametrize("where", SHIFTS)
def test_1_is_no_guidance_and_a_dropped_class_is_not_guided(where):
    grid = UniformGrid(9)
    t = Chain(SCHEDULE, grid(SCHEDULE)).times[torch.full((len(SEEDS),), 4)]
    assert SHIFTS[where](classify, SCHEDULE, grid, FixedSmall(), 1.0)(unconditional) is unconditional
    guided = SHIFTS[where](classify, SCHEDULE, grid, FixedSmall(), 4.0)(unconditional)
    dropped = COND.drop(SEEDS < 20)
    moved = (guided(X_T, t, dropped).x0 - unconditional(X_T, t, COND).x0).abs().amax((1, 2, 3))
    assert (moved[:20] == 0).all()
    assert (moved[20:] > 1e-4).all()


def test_a_sampler_with_another_grid_is_refused():
    guided = MeanShiftAtImage(classify, SCHEDULE, UniformGrid(9), FixedSmall(), 2.0)(unconditional)
    with pytest.raises(ValueError, match="same grid"):
        DDIM(UniformGrid(8))(guided, SCHEDULE, X_T, COND, NOISE)


def test_without_a_class_it_says_what_is_missing():
    grid = UniformGrid(9)
    guided = MeanShiftAtMean(classify, SCHEDULE, grid, FixedSmall(), 2.0)(unconditional)
    with pytest.raises(ValueError, match="class of every image"):
        DDPM(grid, FixedSmall())(guided, SCHEDULE, X_T, Condition(), NOISE)
