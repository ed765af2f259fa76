"""Bits per dimension against likelihoods in closed form."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from difflab.data import GaussianMixture
from difflab.evaluation import BitsPerDim, BoundSums
from difflab.features import to_uint8
from difflab.metrics import Protocol
from difflab.noise import ImageNoise
from difflab.objectives import bound_steps, prior_bits
from difflab.process import over
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, NoiseSchedule, cosine, linear
from difflab.types import AlphaSigma, Condition, Prediction
from difflab.variances import FixedLarge, FixedSmall, Learned, Variance

N = 512
MIXTURE = GaussianMixture.random(3, (1, 2, 2), spread=0.3, std=0.15, seed=1)


def grey_levels(x: Tensor) -> Tensor:
    """The images that 8 bits can hold nearest to x."""
    return to_uint8(x).double() / 127.5 - 1


def images(mixture: GaussianMixture, n: int = N) -> Tensor:
    noise = ImageNoise(3, torch.arange(n))
    return grey_levels(mixture.sample(noise, mixture.sample_labels(noise)))


def true_bits(mixture: GaussianMixture, x: Tensor) -> np.ndarray:
    """-log2 of the probability of each 8-bit image per dimension: within a component pixels are independent, and a level is an interval."""
    flat, means = x.flatten(1).numpy()[:, None], mixture.means.flatten(1).numpy()
    low = np.where(flat < -0.999, -np.inf, flat - 1 / 255)
    high = np.where(flat > 0.999, np.inf, flat + 1 / 255)
    level = norm.cdf((high - means) / mixture.std) - norm.cdf((low - means) / mixture.std)
    return -np.log2((mixture.weights.numpy() * level.prod(2)).sum(1)) / flat.shape[2]


def measured(x: Tensor, denoise, variance: Variance, chain: Chain, seed: int = 0) -> tuple[Tensor, BitsPerDim]:
    """Each image's bound, and the means."""
    sums = BoundSums(chain.times)
    steps = bound_steps(x, Condition(), denoise, variance, chain, ImageNoise(seed, torch.arange(len(x))))
    return sums.update(prior_bits(x, chain), steps), sums.result()


@pytest.mark.parametrize("variance", [FixedSmall(), FixedLarge()], ids=["small", "large"])
def test_the_bound_is_above_the_likelihood_and_comes_closer_with_more_steps(variance):
    schedule, x = cosine(1000), images(MIXTURE)
    truth = true_bits(MIXTURE, x)
    denoise, gaps = MIXTURE.denoiser(schedule), []
    for steps in (8, 32, 128):
        total, result = measured(x, denoise, variance, Chain(schedule, UniformGrid(steps)(schedule)))
        gap = total.numpy() - truth
        gaps.append((gap.mean(), gap.std() / math.sqrt(N)))
        assert result.value - truth.mean() == pytest.approx(gap.mean())
        assert result.vb.sum() + result.prior == pytest.approx(result.value)
    for gap, error in gaps:
        assert gap > -4 * error
    (coarse, _), (middle, _), (fine, error) = gaps
    assert coarse > 2 * middle > 4 * fine
    assert fine < coarse / 10 + 2 * error


def test_an_exact_chain_has_the_exact_likelihood():
    """For Gaussian pixels every reverse step is Gaussian.

    Given its mean and variance the bound is, in the mean, the likelihood, and what the chain's noisy end still knows of the data.
    """
    schedule: NoiseSchedule = linear(300)
    chain = Chain(schedule, UniformGrid(100)(schedule))
    mixture = GaussianMixture(torch.full((1, 1, 2, 2), 0.1), [1.0], std=0.25)
    x, mu, s = images(mixture, 3000), 0.1, 0.25

    def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        i = chain.index(t)
        (alpha, sigma), step = chain[i], chain.transition(i)
        marginal = alpha**2 * s**2 + sigma**2
        x_0 = mu + over(alpha * s**2 / marginal, x_t) * (x_t - over(alpha * mu, x_t))
        # p(x_s | x_t) = integral of q(x_s | x_t, x_0) p(x_0 | x_t): its variance is the posterior's plus what x_0 adds
        var = step.posterior_var + step.coef_x0**2 * s**2 * sigma**2 / marginal
        return Prediction(x_0, over(torch.log(var), x_t).expand_as(x_t))

    total, result = measured(x, denoise, Learned(), chain)
    alpha, sigma = (float(value) for value in chain[len(chain)])
    marginal = alpha**2 * s**2 + sigma**2
    prior_gap = 0.5 * ((marginal + (alpha * mu) ** 2) - 1 - math.log(marginal)) / math.log(2)
    gap = total.numpy() - true_bits(mixture, x)
    error = gap.std() / math.sqrt(len(x))
    assert error < 0.02 < 0.003 * result.value
    assert gap.mean() == pytest.approx(prior_gap, abs=3 * error)
    assert error == pytest.approx(result.std_error, rel=0.2)  # most of it is the noise that was drawn
    # its squared errors are the variances of x_0 and of eps given x_t
    alpha, sigma = (level[1:] for level in chain.level)
    left = s**2 * sigma**2 / (alpha**2 * s**2 + sigma**2)
    np.testing.assert_allclose(result.x0_mse, left, rtol=0.06)
    np.testing.assert_allclose(result.eps_mse, left * (alpha / sigma) ** 2, rtol=0.06)
    np.testing.assert_array_equal(result.t, chain.times[1:])


def test_the_prior_is_what_samplers_start_from():
    """KL(N(alpha x, sigma^2) || N(0, alpha^2 + sigma^2)), also where alpha^2 + sigma^2 is not 1."""

    class VarianceExploding(NoiseSchedule):
        steps = None

        def __call__(self, t: Tensor) -> AlphaSigma:
            return AlphaSigma(torch.ones_like(t), 20 * t)

        def network_time(self, t: Tensor) -> Tensor:
            return t

        def time(self, u: Tensor) -> Tensor:
            return u

    chain = Chain(VarianceExploding(), torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    x = torch.tensor([0.5, -1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    known = 0.5 * (math.log(401 / 400) + (400 + x.flatten() ** 2) / 401 - 1) / math.log(2)
    torch.testing.assert_close(prior_bits(x, chain), known, rtol=1e-9, atol=0)


def test_an_image_has_the_same_bound_in_any_batch_and_sums_add_up():
    chain, x = Chain(cosine(20), torch.arange(21).double() / 20), images(MIXTURE, 12)
    denoise = MIXTURE.denoiser(cosine(20))

    def steps(rows: slice):
        return bound_steps(
            x[rows], Condition(), denoise, FixedLarge(), chain, ImageNoise(5, torch.arange(100, 112)[rows])
        )

    whole, parts = BoundSums(chain.times), BoundSums(chain.times)
    total = whole.update(prior_bits(x, chain), steps(slice(None)))
    for rows in (slice(0, 5), slice(5, 6), slice(6, None)):
        torch.testing.assert_close(
            parts.update(prior_bits(x[rows], chain), steps(rows)), total[rows], rtol=1e-12, atol=0
        )
    one, other = whole.all_reduced().result(), parts.result()
    assert one.value == pytest.approx(float(total.mean()), rel=1e-12)
    assert one.std_error == pytest.approx(float(total.std()) / math.sqrt(12), rel=1e-9)
    for name in ("value", "std_error", "prior", "samples"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)
    for name in ("vb", "x0_mse", "eps_mse"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-12, atol=0)

    stored = json.loads(json.dumps(one.to_dict()))
    assert stored["value"] == one.value
    assert sum(stored["steps"]["vb"]) + stored["prior"] == pytest.approx(one.value)
    assert len(stored["steps"]["t"]) == 20
    low, high = one.measurement(Protocol({"samples": 12})).interval() or (0, 0)
    assert low < one.value < high
    assert (high - low) / 2 == pytest.approx(2.200985 * one.std_error, rel=1e-6)  # Student, 11 degrees of freedom


def test_sums_refuse_another_chain_and_bounds_that_are_not_numbers():
    chain, x = Chain(cosine(20), torch.arange(21).double() / 20), images(MIXTURE, 4)
    steps = list(
        bound_steps(x, Condition(), MIXTURE.denoiser(cosine(20)), FixedLarge(), chain, ImageNoise(0, torch.arange(4)))
    )
    prior, sums = prior_bits(x, chain), BoundSums(chain.times)
    for wrong in (steps[::-1], steps[:-1]):
        with pytest.raises(ValueError, match="give both the same chain"):
            sums.update(prior, wrong)
    prior[2] = math.nan
    with pytest.raises(ValueError, match="image 2 of this batch of 4 is not finite"):
        sums.update(prior, steps)
    with pytest.raises(ValueError, match="needs at least 2 images, got 0"):
        sums.result()
