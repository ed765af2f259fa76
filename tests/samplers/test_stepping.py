"""Samplers are stepped from outside: from any image at any time, one step after the other, and back; and some have no grid."""

import math

import numpy as np
import pytest
import torch
from gaussian import gaussian_denoiser

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.process import perturb
from difflab.samplers import DDIM, DDPM, Euler, Heun, Prior, Sampler, SamplerState, draw
from difflab.samplers.along import Time
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import EDM, LinearPath, VariancePreserving, cosine, zero_terminal_snr
from difflab.types import AlphaSigma, Condition, Prediction
from difflab.variances import FixedSmall

MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.3, seed=1)
NOISE = ImageNoise(0, torch.arange(8))
VP = VariancePreserving()
SAMPLERS = {
    "ddpm": DDPM(UniformGrid(8), FixedSmall()),
    "ddim": DDIM(UniformGrid(8), eta=0.5),
    "euler": Euler(KarrasGrid(8, 0.05, 40.0)),
    "heun": Heun(KarrasGrid(8, 0.05, 40.0), s_churn=4.0),
    "in time": Heun(UniformGrid(8), along=Time()),
}

FINE = {
    "ddpm": DDPM(UniformGrid(200), FixedSmall()),
    "ddim": DDIM(UniformGrid(200), eta=0.5),
    "euler": Euler(KarrasGrid(200)),
    "heun": Heun(KarrasGrid(100), s_churn=10.0),
    "in time": Heun(UniformGrid(100), along=Time()),
}


def planned(sampler, schedule, begin=None):
    x = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, x, Condition(), begin)
    return x, walk, sampler.steps(walk)


@pytest.mark.parametrize("name", SAMPLERS)
def test_stepping_by_hand_is_the_sampler(name):
    sampler = SAMPLERS[name]
    x_T, walk, step = planned(sampler, VP)
    state, visited = walk.start(x_T), []
    while state.t > 0:
        visited.append(state.t)
        state = step(state, NOISE)
    assert torch.equal(state.image, sampler(MIXTURE.denoiser(VP), VP, x_T, Condition(), NOISE))
    assert visited == walk.chain.times[1:].flip(0).tolist()
    assert state.step == 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_earlier_state_is_gone_back_to(name):
    """Nothing is remembered but in the state; and an image alone, without the state, says as much up to rounding."""
    x_T, walk, step = planned(SAMPLERS[name], VP)
    half = walk.start(x_T)
    for _ in range(4):
        half = step(half, NOISE)

    def to_the_end(state):
        while state.t > 0:
            state = step(state, NOISE)
        return state.image

    once = to_the_end(half)
    assert torch.equal(to_the_end(half), once)
    torch.testing.assert_close(to_the_end(walk.start(half.image, half.step)), once, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(to_the_end(half.with_image(half.image)), once, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_walk_begins_at_any_time_from_any_image(name):
    """What noise of t = 0.43 was put on is distributed as before: Gaussian data come back with their mean and deviation."""
    mu, s, begin, n = 0.4, 0.5, 0.43, 4000
    noise = ImageNoise(1, torch.arange(n))
    denoise = gaussian_denoiser(VP, mu, s)
    data = mu + s * noise.normal("data", (1, 1, 1))
    x_t = perturb(
        data, noise.normal("eps", (1, 1, 1)), AlphaSigma(*(v.expand(n) for v in VP(torch.tensor([begin]).double())))
    )
    sampler = FINE[name]
    walk = sampler.walk(denoise, VP, x_t, Condition(), begin)
    state, step = walk.start(x_t), sampler.steps(walk)
    assert state.t == begin
    assert walk.chain.times[-2] < begin
    while state.t > 0:
        state = step(state, noise)
    assert state.image.mean().item() == pytest.approx(mu, abs=0.05)
    assert state.image.std().item() == pytest.approx(s, rel=0.05)


def test_a_time_outside_of_the_process_is_refused():
    for begin in (0.0, 1.5):
        with pytest.raises(ValueError, match="begins at a time above 0 and at most 1"):
            SAMPLERS["ddim"].walk(MIXTURE.denoiser(VP), VP, torch.zeros(1, 1, 2, 2), Condition(), begin)


def sample(sampler, schedule):
    x_T = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    return sampler(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)


@pytest.mark.parametrize("schedule", [LinearPath(), VP], ids=["straight", "vp"])
@pytest.mark.parametrize(("solver", "order"), [(Euler, 1), (Heun, 2)])
def test_order_of_convergence_in_time(schedule, solver, order):
    reference = sample(Heun(UniformGrid(1600), along=Time()), schedule)
    errors = [
        (sample(solver(UniformGrid(n), along=Time()), schedule) - reference).abs().max().item() for n in (50, 100, 200)
    ]
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), order, atol=0.3)


@pytest.mark.parametrize("schedule", [VP, EDM()], ids=["vp", "edm"])
def test_both_variables_solve_one_equation(schedule):
    grid = KarrasGrid(400)
    torch.testing.assert_close(
        sample(Heun(grid, along=Time()), schedule), sample(Heun(grid), schedule), rtol=1e-3, atol=1e-3
    )


def test_without_signal_at_the_beginning_a_point_is_reached_in_one_straight_step():
    """Data that are one point: eps stays, and x_t = (1 - t) x_0 + t eps is a straight line, which one Euler step follows."""
    point = GaussianMixture(torch.full((1, 1, 2, 2), 0.7, dtype=torch.float64), torch.ones(1), 1e-6)
    schedule, sampler = LinearPath(), Euler(UniformGrid(1), along=Time())
    images = draw(point.denoiser(schedule), schedule, sampler, (1, 2, 2), torch.arange(3), Condition())
    torch.testing.assert_close(images, torch.full_like(images, 0.7))
    with pytest.raises(ValueError, match=r"no signal where the grid begins.*sampler/along=time"):
        Euler(UniformGrid(1)).check(schedule)


@pytest.mark.parametrize(
    ("sampler", "schedule", "message"),
    [
        (Euler(UniformGrid(5), along=Time()), cosine(100), "Tabulated is a table of 100 steps"),
        (Euler(UniformGrid(5), s_churn=1.0, along=Time()), VP, r"s_churn=1 raises.*set sampler.s_churn=0"),
        (Heun(UniformGrid(5)), zero_terminal_snr(cosine(100)), "no signal where the grid begins"),
        (DDPM(UniformGrid(200), FixedSmall()), cosine(100), "cannot take 200 sampling steps out of 100"),
    ],
)
def test_what_a_sampler_needs_of_a_schedule_is_said_before_it_draws(sampler, schedule, message):
    with pytest.raises(ValueError, match=message):
        sampler.check(schedule)


class Halving(Sampler):
    """DDIM's step to half the noise level, as often as that takes: it has no grid, and ends where it finds that it may."""

    def __init__(self, least: float):
        self.least = least

    def steps(self, walk):
        def step(state, noise):
            alpha, sigma = (float(v) for v in walk.schedule(torch.tensor([state.t]).double()))
            x_0 = walk.predict(state.image, state.t).x0
            s = state.t / 2 if state.t > self.least else 0.0
            if not s:
                return SamplerState(x_0, 0.0, 0, x0=x_0)
            alpha_s, sigma_s = (float(v) for v in walk.schedule(torch.tensor([s]).double()))
            return SamplerState(alpha_s * x_0 + sigma_s * (state.image - alpha * x_0) / sigma, s, state.step, x0=x_0)

        return step


def test_a_sampler_need_not_have_a_grid():
    sampler, schedule = Halving(0.01), EDM(rho=1.0)
    sampler.check(schedule)
    x_T = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
    steps = list(sampler.trajectory(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE))
    assert [step.t for step in steps] == [2.0**-i for i in range(math.ceil(-math.log2(0.01)) + 1)]
    assert torch.equal(steps[-1].x_s, sample(sampler, schedule))


class Tokens(Prior):
    """Whole numbers 0 .. 7."""

    def __call__(self, schedule, t, shape, noise):
        return (8 * noise.uniform("x_T", shape)).long()


class Rounding(Sampler):
    """A sampler of whole numbers."""

    grid, prior = UniformGrid(3), Tokens()

    def steps(self, walk):
        def step(state, noise):
            i = state.step - 1
            x_0 = walk.predict(state.x, state.t).x0
            return SamplerState(x_0.round().long(), float(walk.chain.times[i]), i, x0=x_0)

        return step


def test_a_sampler_draws_its_own_beginning():
    seen = []

    def denoise(x_t, t, cond, /):
        seen.append(x_t)
        return Prediction(x_t.float())

    images = draw(denoise, cosine(100), Rounding(), (1, 2, 2), torch.arange(20), Condition())
    assert images.dtype == torch.int64
    assert torch.equal(images, seen[0])
    assert set(images.flatten().tolist()) == set(range(8))
