"""Singlestep solvers in the numbers of k-diffusion and of the authors of DPM-Solver, on the recipes' Gaussian mixture."""

from pathlib import Path

import numpy as np
import torch
from feeds import NoiseInOrder
from recipes import gmm_denoise

from difflab.process import eps_from_x0, over, x0_from_eps
from difflab.samplers import AdaptiveDPMSolver, Singlestep
from difflab.samplers.grids import LevelsGrid, TimesGrid
from difflab.samplers.multistep import Clean, Eps
from difflab.samplers.singlestep import Ancestral, EachStep, Leap, NoisyStages, NoNoise, Orders, PerEvaluation
from difflab.schedules import EDM, VariancePreserving
from difflab.types import Condition, Prediction
from one_pass import each

GOLDEN = Path(__file__).parents[1] / "golden"
PEER = np.load(GOLDEN / "samplers_kdiff.npz")
AUTHORS = np.load(GOLDEN / "singlestep.npz")
SEED = 71000


class Listed(Orders):
    """Orders of single steps of the grid, the noisiest first."""

    def __init__(self, orders):
        self.orders = orders

    def leap(self, i):
        return Leap(self.orders[len(self.orders) + 1 - i], 1)


def edm_walk(sampler, latents, schedule):
    called = []

    def denoise(x, t, cond):
        sigma = schedule(t).sigma
        called.append(float(sigma[0]))
        return Prediction(gmm_denoise(x, sigma))

    x_T = torch.from_numpy(latents)
    states = list(sampler.trajectory(denoise, schedule, x_T, Condition(), NoiseInOrder(SEED, len(x_T))))
    return [state.x_s for state in states], called


KDIFF = {
    "dpm_2": (2, Eps(), NoNoise()),
    "dpm_2_ancestral": (2, Eps(), Ancestral(1.0)),
    "dpmpp_2s_ancestral": (2, Clean(), Ancestral(1.0)),
    "dpmpp_2s_ancestral_eta0": (2, Clean(), NoNoise()),
    "dpmpp_sde": (2, Clean(), NoisyStages(1.0)),
    "dpmpp_sde_eta0": (2, Clean(), NoisyStages(0.0)),
    "euler_ancestral": (1, Clean(), Ancestral(1.0)),
    "euler_ancestral_eta0.5": (1, Eps(), Ancestral(0.5)),
    "euler_ancestral_eta0": (1, Eps(), Ancestral(0.0)),
}


@each("name", KDIFF)
def test_k_diffusion(name):
    order, quantity, noise = KDIFF[name]
    sigmas, schedule = PEER["in/sigmas/karras12"], EDM(sigma_max=120.0)
    sampler = Singlestep(LevelsGrid(sigmas.tolist()), EachStep(order), quantity, noise)
    images, called = edm_walk(sampler, PEER["in/latents"] * sigmas[0], schedule)
    np.testing.assert_allclose(called, PEER[f"kdiff/karras12/{name}/model_sigmas"], rtol=1e-9)
    np.testing.assert_allclose(images[-1], PEER[f"kdiff/karras12/{name}/final"], rtol=1e-8, atol=1e-9)


@each(("evaluations", "orders"), [(9, [3, 3, 2, 1]), (10, [3, 3, 3, 1]), (11, [3, 3, 3, 2])])
def test_k_diffusions_dpm_fast(evaluations, orders):
    """Steps of one width in log sigma, down to sigma_min; ours goes on to the clean image."""
    sigmas, schedule = PEER["in/sigmas/karras12"], EDM(sigma_max=120.0)
    levels = np.exp(np.linspace(np.log(sigmas[0]), np.log(sigmas[-2]), len(orders) + 1))
    sampler = Singlestep(LevelsGrid(levels.tolist()), Listed(orders), Eps(), NoNoise())
    images, called = edm_walk(sampler, PEER["in/latents"] * sigmas[0], schedule)
    name = f"kdiff/karras12/dpm_fast_n{evaluations}"
    np.testing.assert_allclose(sorted(called[:-1]), sorted(PEER[f"{name}/model_sigmas"]), rtol=1e-6)
    np.testing.assert_allclose(images[-2], PEER[f"{name}/final"], rtol=1e-5, atol=1e-6)


@each(("order", "evaluations"), [(2, 50), (3, 48)])
def test_k_diffusions_adaptive_solver(order, evaluations):
    """One width for the whole batch there, so the batch is one image here."""
    sigmas, schedule, asked = PEER["in/sigmas/karras12"], EDM(sigma_max=120.0), []
    latents = PEER["in/latents"]

    def denoise(x, t, cond):
        asked.append(x)
        sigma = schedule(t).sigma.expand(len(latents))
        return Prediction(gmm_denoise(x.reshape(latents.shape), sigma).reshape(x.shape))

    sampler = AdaptiveDPMSolver(order, rtol=0.01, atol=0.002, begin=float(sigmas[-2]), end=float(sigmas[0]))
    x_T = torch.from_numpy(latents).reshape(1, -1, 4, 4) * np.hypot(1, 120) / np.hypot(1, sigmas[0]) * sigmas[0]
    sampler(denoise, schedule, x_T, Condition(), NoiseInOrder(SEED, 1))
    assert len(asked) == evaluations + 1
    final = PEER[f"kdiff/karras12/dpm_adaptive_o{order}/final"]
    np.testing.assert_allclose(asked[-1].reshape(final.shape), final, rtol=1e-5, atol=1e-6)


CASES = [
    ("dpmsolver++/singlestep1/time_uniform/N9", PerEvaluation(1), Clean()),
    ("dpmsolver++/singlestep2/time_uniform/N9", PerEvaluation(2), Clean()),
    ("dpmsolver++/singlestep3/time_uniform/N20", PerEvaluation(3), Clean()),
    ("dpmsolver/singlestep1/time_uniform/N20", PerEvaluation(1), Eps()),
    ("dpmsolver/singlestep2/time_uniform/N9", PerEvaluation(2), Eps()),
    ("dpmsolver/singlestep2/time_uniform/N20", PerEvaluation(2), Eps()),
    ("dpmsolver/singlestep3/time_uniform/N20", PerEvaluation(3), Eps()),
    ("dpmsolver/singlestep_fixed3/time_uniform/N9", PerEvaluation(3), Eps()),
    ("dpmsolver++/singlestep_fixed3/time_uniform/N9", PerEvaluation(3), Clean()),
]
"""Their walks end at t = 1e-3: ours has the grid's times down to it, and one step more."""


@each(("name", "orders", "quantity"), CASES)
def test_the_authors(name, orders, quantity):
    """In continuous time, where both have one formula of alpha."""
    schedule, count = VariancePreserving(), int(name.rpartition("N")[2])
    times = np.linspace(1.0, 1e-3, count + 1)
    if "fixed" in name:
        orders = ThirdAlways()
    sampler = Singlestep(TimesGrid(times.tolist()), orders, quantity, NoNoise())
    x_T = torch.from_numpy(AUTHORS["x"])

    def denoise(x, t, cond):
        """Their model was asked at t / 1000."""
        then = schedule(t / 1000)
        wide = over(then.alpha, x)
        exact = gmm_denoise(x / wide, then.sigma / then.alpha)
        return Prediction(x0_from_eps(x, eps_from_x0(x, exact, then), schedule(t)))

    states = list(sampler.trajectory(denoise, schedule, x_T, Condition(), NoiseInOrder(SEED, len(x_T))))
    np.testing.assert_allclose(states[-2].x_s, AUTHORS[name], rtol=1e-7, atol=1e-8)


class ThirdAlways(Orders):
    """Third order always."""

    def leap(self, i):
        return Leap(3, 3)
