"""Heun, Euler, churn and the noise levels of EDM's and k-diffusion's code, on the recipes' Gaussian mixture."""

import numpy as np
import pytest
import torch
from edm import EDM_NUMBERS as PEER
from edm import EDM_RUNS, GOLDEN
from feeds import StepNoise
from recipes import gmm_denoise

from difflab.samplers import Euler, Heun
from difflab.samplers.grids import KarrasGrid
from difflab.schedules import EDM, noise_level
from difflab.types import Condition, Prediction

KDIFF = np.load(GOLDEN / "samplers_kdiff.npz")
LEVELS = np.load(GOLDEN / "schedules_edm.npz")
SCHEDULE = EDM(sigma_max=120.0)
"""Ends above 80 (1 + gamma), as EDM's never does."""

SOLVERS = {"heun": Heun, "euler": Euler}
CHURN = {"S_churn": "s_churn", "S_min": "s_min", "S_max": "s_max", "S_noise": "s_noise"}
OWN = {"num_steps", "rho", "sigma_min", "sigma_max", "solver", *CHURN}
EDM_CASES = [
    name
    for name, run in EDM_RUNS.items()
    if f"{name}/final" in PEER and (run["kwargs"].keys() <= OWN or "edm-linear-none" in name)
]


def walk(sampler, latents, seed):
    """The sample, and the noise levels at which the network was called."""
    called = []

    def denoise(x, t, cond):
        sigma = SCHEDULE(t).sigma
        called.append(float(sigma[0]))
        return Prediction(gmm_denoise(x, sigma))

    steps = len(sampler.grid(SCHEDULE)) - 1
    x_T = torch.from_numpy(latents) * noise_level(SCHEDULE, sampler.grid(SCHEDULE)[-1:])
    return sampler(denoise, SCHEDULE, x_T, Condition(), StepNoise(seed, len(x_T), steps)), called


def test_there_are_cases():
    assert len(EDM_CASES) >= 5
    assert any("S_churn" in name for name in EDM_CASES)


@pytest.mark.parametrize("name", EDM_CASES)
def test_edm(name):
    run = EDM_RUNS[name]
    kwargs = run["kwargs"]
    grid = KarrasGrid(kwargs["num_steps"], **{k: kwargs[k] for k in ("rho", "sigma_min", "sigma_max") if k in kwargs})
    sampler = SOLVERS[kwargs.get("solver", "heun")](grid, **{CHURN[k]: v for k, v in kwargs.items() if k in CHURN})
    image, called = walk(sampler, PEER["sampler/latents"], run["noise_seed"])
    np.testing.assert_allclose(called, PEER[f"{name}/net_sigmas"].ravel(), rtol=1e-12)
    assert len(called) == run["nfe"]
    np.testing.assert_allclose(image, PEER[f"{name}/final"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("churned", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_k_diffusion(solver, churned):
    sigmas = KDIFF["in/sigmas/karras12"]
    churn = {"s_churn": 6, "s_noise": 1.007, "s_min": 0.05, "s_max": 10} if churned else {}
    sampler = SOLVERS[solver](KarrasGrid(12, sigmas[-2], sigmas[0]), **churn)
    image, called = walk(sampler, KDIFF["in/latents"], 71000)
    name = f"kdiff/karras12/{solver}{'_churn' if churned else ''}"
    np.testing.assert_allclose(called, KDIFF[f"{name}/model_sigmas"], rtol=1e-9)
    np.testing.assert_allclose(image, KDIFF[f"{name}/final"], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("key", "grid"),
    [
        ("edm_sampler/N18/t_steps", KarrasGrid(18)),
        *((f"edm_sampler/N18_rho{rho}_0.01_50/t_steps", KarrasGrid(18, 0.01, 50, rho)) for rho in (1, 3, 5, 7, 10)),
    ],
)
def test_levels_of_the_grid(key, grid):
    levels = noise_level(SCHEDULE, grid(SCHEDULE)).flip(0)
    np.testing.assert_allclose(levels, LEVELS[key], rtol=1e-12)
