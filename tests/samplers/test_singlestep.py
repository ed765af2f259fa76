"""Singlestep solvers on the mixture: orders of convergence, what noise leaves alone, images apart from their batch, refusals."""

import numpy as np
import pytest
import torch

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.samplers import DDIM, AdaptiveDPMSolver, Heun, Singlestep, draw
from difflab.samplers.grids import KarrasGrid, LogSNRGrid, UniformGrid
from difflab.samplers.multistep import Clean, Eps
from difflab.samplers.singlestep import Ancestral, EachStep, NoisyStages, NoNoise, PerEvaluation
from difflab.schedules import EDM, LinearPath, VariancePreserving, cosine, linear, zero_terminal_snr
from difflab.types import Condition, Prediction

MIXTURE = GaussianMixture.random(components=3, shape=(2,), spread=0.8, std=0.3, seed=1)
NOISE = ImageNoise(0, torch.arange(8))


def sample(sampler, schedule, noise=NOISE):
    x_T = sampler.initial_noise(schedule, MIXTURE.shape, noise)
    return sampler(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), noise)


@pytest.mark.parametrize("quantity", [Eps(), Clean()], ids=["eps", "x0"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_order_of_convergence(order, quantity):
    """Down to a level of 0.05, where all end alike: the step from there is the denoiser."""
    schedule = VariancePreserving()

    def solved(steps, order):
        return sample(Singlestep(LogSNRGrid(steps + 1, 0.05), EachStep(order), quantity, NoNoise()), schedule)

    exact = solved(160, 3)
    errors = [(solved(n, order) - exact).abs().max().item() for n in (15, 30, 60)]
    np.testing.assert_allclose(np.log2(errors[:-1]) - np.log2(errors[1:]), order, atol=0.3)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("schedule", [cosine(1000), zero_terminal_snr(cosine(1000)), LinearPath(), EDM()])
def test_euler_ancestral_is_ddim(eta, schedule):
    grid = UniformGrid(9)
    ours = sample(Singlestep(grid, EachStep(1), Eps(), Ancestral(eta)), schedule)
    torch.testing.assert_close(ours, sample(DDIM(grid, eta), schedule), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("evaluations", range(1, 13))
@pytest.mark.parametrize("order", [1, 2, 3])
def test_as_many_evaluations_as_steps(evaluations, order):
    schedule, asked = linear(1000), []

    def denoise(x, t, cond):
        asked.append(t[0].item())
        return MIXTURE.denoiser(schedule)(x, t, cond)

    sampler = Singlestep(UniformGrid(evaluations), PerEvaluation(order), Clean(), NoNoise())
    sampler(denoise, schedule, torch.zeros(1, 2).double(), Condition(), ImageNoise(0, torch.arange(1)))
    assert asked == sampler.grid(schedule)[1:].flip(0).tolist()


SAMPLERS = {
    "3": Singlestep(LogSNRGrid(6), EachStep(3), Eps(), NoNoise()),
    "fast": Singlestep(UniformGrid(8), PerEvaluation(3), Clean(), NoNoise()),
    "ancestral": Singlestep(KarrasGrid(6), EachStep(2), Clean(), Ancestral()),
    "sde": Singlestep(KarrasGrid(6), EachStep(2), Clean(), NoisyStages()),
    "adaptive": AdaptiveDPMSolver(),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_do_not_depend_on_the_batch(name):
    schedule, sampler = VariancePreserving(), SAMPLERS[name]
    whole, part = (
        draw(MIXTURE.denoiser(schedule), schedule, sampler, MIXTURE.shape, seeds, Condition())
        for seeds in (torch.arange(6), torch.arange(4, 6))
    )
    torch.testing.assert_close(whole[4:], part, rtol=0, atol=0)


def test_a_walk_may_begin_between_the_steps_that_it_would_take():
    """As edits do: steps that are not those of the walk from the top are worked out when they are asked for."""
    schedule, sampler = linear(1000), SAMPLERS["fast"]
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, torch.zeros(8, 2).double(), Condition())
    step, state = sampler.steps(walk), walk.start(torch.zeros(8, 2).double(), 6)
    visited = []
    while state.t > 0:
        state = step(state, NOISE)
        visited.append(state.step)
    assert visited == [3, 1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 3])
def test_the_adaptive_solver_is_as_exact_as_it_is_told(order):
    schedule = VariancePreserving()
    begin = {"begin": 0.01, "end": 80.0}
    exact = sample(AdaptiveDPMSolver(3, 1e-6, 1e-6, **begin), schedule)
    reference = sample(Heun(KarrasGrid(800, 0.01)), schedule)
    torch.testing.assert_close(exact, reference, rtol=0, atol=2e-3)
    errors = [(sample(AdaptiveDPMSolver(order, r, r, **begin), schedule) - exact).abs().max() for r in (1e-2, 1e-4)]
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 5


def test_what_cannot_be_done_is_refused():
    schedule = VariancePreserving()
    for make, message in [
        (lambda: EachStep(4), "order 1, 2 or 3, not 4"),
        (lambda: PerEvaluation(0), "order 1, 2 or 3, not 0"),
        (lambda: Ancestral(1.5), "eta = 1.5"),
        (lambda: AdaptiveDPMSolver(1), "order = 1 must be 2 or 3"),
        (lambda: AdaptiveDPMSolver(rtol=0), "must be positive"),
        (
            lambda: Singlestep(UniformGrid(5), EachStep(3), Clean(), NoisyStages()).check(schedule),
            "order up to 2, not 3",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    nan, noise = torch.full((1, 2), torch.nan).double(), ImageNoise(0, torch.arange(1))
    with pytest.raises(ValueError, match="not finite"):
        AdaptiveDPMSolver()(lambda x, t, cond: Prediction(nan), schedule, nan, Condition(), noise)


def test_a_tolerance_that_no_step_keeps_ends_in_a_line(monkeypatch):
    monkeypatch.setattr("difflab.samplers.singlestep.adaptive.MOST", 40)

    def rounding(x, t, cond):
        return Prediction((x * 1e3).round() / 1e3)

    x, noise = torch.randn(2, 2, generator=torch.Generator().manual_seed(0)).double(), ImageNoise(0, torch.arange(2))
    told = r"40 steps of .* no further than the noise level \d.*: set sampler.rtol=1e-09 and sampler.atol=1e-09 higher$"
    with pytest.raises(ValueError, match=told):
        AdaptiveDPMSolver(3, 1e-9, 1e-9)(rounding, VariancePreserving(), x, Condition(), noise)
    assert AdaptiveDPMSolver()(rounding, VariancePreserving(), x, Condition(), noise).isfinite().all()
