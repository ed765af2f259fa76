"""Heun, Euler, churn and the noise levels of EDM's and k-diffusion's code, on the recipes' Gaussian mixture."""

from itertools import pairwise, product

import numpy as np
import torch
from edm import EDM_NUMBERS as PEER
from edm import EDM_RUNS, GOLDEN
from feeds import StepNoise
from recipes import gmm_denoise

from difflab.samplers import Euler, Heun
from difflab.samplers.grids import KarrasGrid
from difflab.schedules import EDM, noise_level
from difflab.types import Condition, Prediction
from one_pass import each

KDIFF = np.load(GOLDEN / "samplers_kdiff.npz")
LEVELS = np.load(GOLDEN / "schedules_edm.npz")
SCHEDULES = {"ends where the grid begins": EDM(), "ends above": EDM(sigma_max=120.0)}
"""At 80 churn raises the first step above the schedule's end; above 80 (1 + gamma) it has no need to. EDM knows no end."""

SOLVERS = {"heun": Heun, "euler": Euler}
CHURN = {"S_churn": "s_churn", "S_min": "s_min", "S_max": "s_max", "S_noise": "s_noise"}
OWN = {"num_steps", "rho", "sigma_min", "sigma_max", "solver", *CHURN}
EDM_CASES = [
    name
    for name, run in EDM_RUNS.items()
    if f"{name}/final" in PEER and (run["kwargs"].keys() <= OWN or "edm-linear-none" in name)
]


def walk(sampler, latents, seed, schedule):
    """The sample, and the noise levels at which the network was called."""
    called = []

    def denoise(x, t, cond):
        sigma = schedule(t).sigma
        called.append(float(sigma[0]))
        return Prediction(gmm_denoise(x, sigma))

    steps = len(sampler.grid(schedule)) - 1
    x_T = torch.from_numpy(latents) * noise_level(schedule, sampler.grid(schedule)[-1:])
    return sampler(denoise, schedule, x_T, Condition(), StepNoise(seed, len(x_T), steps)), called


def test_there_are_cases():
    assert len(EDM_CASES) >= 5
    assert any("S_churn" in name for name in EDM_CASES)


@each(("schedule", "name"), product(SCHEDULES.values(), EDM_CASES))
def test_edm(name, schedule):
    run = EDM_RUNS[name]
    kwargs = run["kwargs"]
    grid = KarrasGrid(kwargs["num_steps"], **{k: kwargs[k] for k in ("rho", "sigma_min", "sigma_max") if k in kwargs})
    sampler = SOLVERS[kwargs.get("solver", "heun")](grid, **{CHURN[k]: v for k, v in kwargs.items() if k in CHURN})
    image, called = walk(sampler, PEER["sampler/latents"], run["noise_seed"], schedule)
    np.testing.assert_allclose(called, PEER[f"{name}/net_sigmas"].ravel(), rtol=1e-12)
    assert len(called) == run["nfe"]
    np.testing.assert_allclose(image, PEER[f"{name}/final"], rtol=1e-9, atol=1e-9)


@each(
    ("schedule", "churned", "solver"),
    product(SCHEDULES.values(), [False, True], SOLVERS),
)
def test_k_diffusion(solver, churned, schedule):
    sigmas = KDIFF["in/sigmas/karras12"]
    churn = {"s_churn": 6, "s_noise": 1.007, "s_min": 0.05, "s_max": 10} if churned else {}
    sampler = SOLVERS[solver](KarrasGrid(12, sigmas[-2], sigmas[0]), **churn)
    image, called = walk(sampler, KDIFF["in/latents"], 71000, schedule)
    name = f"kdiff/karras12/{solver}{'_churn' if churned else ''}"
    np.testing.assert_allclose(called, KDIFF[f"{name}/model_sigmas"], rtol=1e-9)
    np.testing.assert_allclose(image, KDIFF[f"{name}/final"], rtol=1e-8, atol=1e-9)


@each(
    ("key", "grid"),
    [
        ("edm_sampler/N18/t_steps", KarrasGrid(18)),
        *((f"edm_sampler/N18_rho{rho}_0.01_50/t_steps", KarrasGrid(18, 0.01, 50, rho)) for rho in (1, 3, 5, 7, 10)),
    ],
)
def test_levels_of_the_grid(key, grid):
    levels = noise_level(EDM(), grid(EDM())).flip(0)
    np.testing.assert_allclose(levels, LEVELS[key], rtol=1e-12)


MEAN, DEVIATION = 0.3, 0.5


def gaussian(x, sigma):
    """The exact denoiser of data N(0.3, 0.5^2)."""
    return (DEVIATION**2 * x + sigma**2 * MEAN) / (DEVIATION**2 + sigma**2)


def algorithm_2(latents, noises, steps, s_churn, is_heun):
    """Karras et al. 2022, algorithm 2 with eq. 5, line by line in float64: from sigma_max = 80, with noise at all levels.

    noises   by step number, which falls
    """
    rise = np.arange(steps) / (steps - 1)
    sigmas = [*((80 ** (1 / 7) + rise * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7), 0.0]
    x, called, gamma = latents * sigmas[0], [], min(s_churn / steps, np.sqrt(2) - 1)
    for i, (sigma, after) in enumerate(pairwise(sigmas)):
        hat = sigma + gamma * sigma
        x = x + np.sqrt(hat**2 - sigma**2) * noises[steps - i]
        d = (x - gaussian(x, hat)) / hat
        called.append(hat)
        ahead = x + (after - hat) * d
        if is_heun and after:
            d_ahead = (ahead - gaussian(ahead, after)) / after
            called.append(after)
            ahead = x + (after - hat) * (d + d_ahead) / 2
        x = ahead
    return x, called


@each(
    ("s_churn", "steps", "solver"),
    product([40, 6], [18, 10], SOLVERS),
)
def test_algorithm_2_from_80(solver, steps, s_churn):
    """With EDM's default grid and schedule the first step is raised to 80 (1 + gamma), 113.1 at most: cut at 80, it is 0.02 to 0.36 off."""
    generator = np.random.default_rng(5)
    latents = generator.standard_normal((64, 1, 2, 2))
    seed = 3
    noise = StepNoise(seed, len(latents), steps)
    noises = {step: noise.normal("step", (1, 2, 2), step=step).numpy() for step in range(1, steps + 1)}
    expected, levels = algorithm_2(latents, noises, steps, s_churn, solver == "heun")
    called = []

    def denoise(x, t, cond):
        sigma = EDM()(t).sigma
        called.append(float(sigma[0]))
        return Prediction(gaussian(x, sigma[:, None, None, None]))

    sampler = SOLVERS[solver](KarrasGrid(steps), s_churn=s_churn)
    image = sampler(denoise, EDM(), torch.from_numpy(latents) * 80, Condition(), StepNoise(seed, len(latents), steps))
    np.testing.assert_allclose(called, levels, rtol=1e-12)
    np.testing.assert_allclose(image, expected, rtol=1e-9, atol=1e-9)
