"""DDPM and DDIM on Gaussian data: with the exact denoiser every step is affine, so the whole chain is known in closed form."""

from itertools import product

import numpy as np
import pytest
import torch
from gaussian import affine_map, gaussian_denoiser

from difflab.noise import ImageNoise
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import QuadraticGrid, UniformGrid
from difflab.schedules import Chain, ContinuousCosine, cosine, linear
from difflab.types import AlphaSigma, Condition
from difflab.variances import FixedLarge, FixedSmall, LearnedRange
from one_pass import each

MU, S = 0.3, 0.5


def alpha_bars(schedule, grid):
    """alpha_bar along the chain by plain numbers, clean end first."""
    return [1.0, *(float(a) ** 2 for a in schedule(grid(schedule)[1:]).alpha)]


def x0_line(bar):
    """E[x_0 | x] = offset + gain x."""
    gain = np.sqrt(bar) * S**2 / (bar * S**2 + 1 - bar)
    return MU - gain * np.sqrt(bar) * MU, gain


CHAINS = {
    "linear-whole": (linear(100), UniformGrid(100)),
    "cosine-sections": (cosine(1000), UniformGrid("10,20,30")),
    "cosine-ddim25": (cosine(1000), UniformGrid("ddim25")),
    "linear-quadratic": (linear(1000), QuadraticGrid(40, share=1.0)),
    "continuous": (ContinuousCosine(8, 8), UniformGrid(37)),
    "continuous-quadratic": (ContinuousCosine(8, 8), QuadraticGrid(20)),
    "one-step": (cosine(1000), UniformGrid(1)),
}


@each(("chain", "variance"), product(CHAINS, ["small", "large", "range"]))
def test_ddpm_step_by_step(chain, variance):
    """Ho et al. 2020, eq. 6 and 7 in alpha_bar; Nichol and Dhariwal 2021, eq. 15."""
    schedule, grid = CHAINS[chain]
    bars = alpha_bars(schedule, grid)
    floor = (1 - bars[2] / bars[1]) * (1 - bars[1]) / (1 - bars[2]) if len(bars) > 2 else None
    offset, gain, added = 0.0, 1.0, 0.0
    for before, now in zip(reversed(bars[:-1]), reversed(bars[1:]), strict=True):
        beta = 1 - now / before
        c0 = np.sqrt(before) * beta / (1 - now)
        ct = np.sqrt(now / before) * (1 - before) / (1 - now)
        posterior = beta * (1 - before) / (1 - now)
        shift, slope = x0_line(now)
        var = {
            "small": posterior,
            "large": beta,
            "range": np.exp(0.3 * np.log(beta) + 0.7 * np.log(posterior or floor or 1)),
        }[variance]
        offset, gain, added = (
            c0 * (shift + slope * offset) + ct * offset,
            (c0 * slope + ct) * gain,
            (c0 * slope + ct) ** 2 * added,
        )
        added += var if before < 1 else 0
    kind = {"small": FixedSmall(), "large": FixedLarge(), "range": LearnedRange()}[variance]
    ours = affine_map(DDPM(grid, kind), schedule, gaussian_denoiser(schedule, MU, S, 2 * 0.3 - 1))
    np.testing.assert_allclose(ours, (offset, gain, added), rtol=1e-9, atol=1e-12)


@each(("chain", "eta"), product(CHAINS, [0.0, 0.4, 1.0]))
def test_ddim_step_by_step(chain, eta):
    """Song et al. 2021, eq. 12 with sigma_t of eq. 16 (whose alpha is our alpha_bar)."""
    schedule, grid = CHAINS[chain]
    bars = alpha_bars(schedule, grid)
    offset, gain, added = 0.0, 1.0, 0.0
    for before, now in zip(reversed(bars[:-1]), reversed(bars[1:]), strict=True):
        std = eta * np.sqrt((1 - before) / (1 - now)) * np.sqrt(1 - now / before)
        direction = np.sqrt(max(1 - before - std**2, 0))
        shift, slope = x0_line(now)
        of_x0, of_x = np.sqrt(before) - direction * np.sqrt(now) / np.sqrt(1 - now), direction / np.sqrt(1 - now)
        offset, gain, added = (
            of_x0 * (shift + slope * offset) + of_x * offset,
            (of_x0 * slope + of_x) * gain,
            (of_x0 * slope + of_x) ** 2 * added,
        )
        added += std**2
    ours = affine_map(DDIM(grid, eta), schedule, gaussian_denoiser(schedule, MU, S))
    np.testing.assert_allclose(ours, (offset, gain, added), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("make", [lambda grid: DDPM(grid, FixedLarge()), lambda grid: DDPM(grid, FixedSmall()), DDIM])
def test_with_many_steps_the_chain_ends_at_the_data(make):
    """The error of mean and variance falls with the number of steps, as 1/N."""
    schedule = cosine(1000)

    def error(steps):
        offset, gain, added = affine_map(make(UniformGrid(steps)), schedule, gaussian_denoiser(schedule, MU, S))
        return abs(offset - MU), abs(gain**2 + added - S**2)

    few, more = error(30), error(240)
    assert more[1] < 0.04 * S**2
    assert more[1] < few[1] / 5
    assert more[0] < max(few[0] / 5, 1e-3)


def test_ddim_is_the_probability_flow():
    """eta = 0 in the limit: the map of N(alpha MU, alpha^2 S^2 + sigma^2) onto N(MU, S^2) that keeps quantiles."""
    schedule = cosine(1000)
    x_T = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    out = DDIM(UniformGrid(1000))(
        gaussian_denoiser(schedule, MU, S), schedule, x_T, Condition(), ImageNoise(0, torch.arange(2))
    )
    offset, gain = out[0].item(), (out[1] - out[0]).item()
    alpha, sigma = (value.item() for value in schedule(torch.ones(1, dtype=torch.float64)))
    slope = S / np.sqrt(alpha**2 * S**2 + sigma**2)
    assert gain == pytest.approx(slope, rel=5e-3)
    assert offset == pytest.approx(MU - slope * alpha * MU, rel=5e-3)


def test_encoding_and_sampling_undo_each_other():
    schedule = cosine(4000)
    denoise = gaussian_denoiser(schedule, MU, S)
    x_0 = torch.from_numpy(MU + S * np.random.RandomState(0).randn(5, 1, 2, 2))
    noise = ImageNoise(0, torch.arange(5))

    def error(steps):
        sampler = DDIM(UniformGrid(steps))
        x_T = sampler.encode(denoise, schedule, x_0, Condition())
        return abs(sampler(denoise, schedule, x_T, Condition(), noise) - x_0).max().item()

    errors = [error(steps) for steps in (25, 100, 400)]
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3
    assert errors[2] < 1e-2
    # and the code is what standard normal noise would have been
    x_T = DDIM(UniformGrid(400)).encode(denoise, schedule, x_0, Condition())
    torch.testing.assert_close(x_T, (x_0 - MU) / S, rtol=0.02, atol=0.02)


def test_initial_noise_has_the_spread_of_the_last_time():
    noise = ImageNoise(0, torch.arange(3))
    plain = noise.normal("x_T", (1, 4, 4))
    assert torch.equal(DDIM(UniformGrid(10)).initial_noise(cosine(1000), (1, 4, 4), noise), plain)

    class Exploding(ContinuousCosine):
        def __call__(self, t):
            return AlphaSigma(torch.ones_like(t), 80 * t)

    spread = DDIM(UniformGrid(10)).initial_noise(Exploding(8, 8), (1, 4, 4), noise)
    torch.testing.assert_close(spread, np.hypot(1, 80) * plain)


def test_a_chain_that_begins_below_the_noisiest_time():
    """A quadratic grid starts at 0.8 T; the chain is that of those times, not of the schedule's end."""
    schedule = linear(1000)
    chain = Chain(schedule, QuadraticGrid(40)(schedule))
    assert schedule.network_time(chain.times[-1:]).item() == 800
    seen, exact = [], gaussian_denoiser(schedule, MU, S)

    def denoise(x_t, t, cond, /):
        seen.append(t[0].item())
        return exact(x_t, t, cond)

    x_T = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    DDIM(QuadraticGrid(40))(denoise, schedule, x_T, Condition(), ImageNoise(0, torch.arange(1)))
    assert seen == chain.times[1:].flip(0).tolist()
