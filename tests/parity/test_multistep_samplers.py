"""Multistep samplers of k-diffusion, diffusers and the authors of DPM-Solver, on the recipes' Gaussian mixture.

Diffusers keeps its tables in float32 (1e-5 here); its grids of Karras and Lu levels round times to whole steps for the model, which ours
do not, and are left out. The authors' numbers in continuous time were made with a model that was asked at t / 1000.
"""

import re

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import StepNoise
from recipes import gmm_denoise, rs_randn

from difflab.process import eps_from_x0, over, x0_from_eps
from difflab.samplers import Multistep
from difflab.samplers.grids import Grid, KarrasGrid
from difflab.samplers.multistep import (
    B2,
    AdamsBashforth,
    AsPublished,
    Clean,
    DPMSolver,
    Eps,
    Growing,
    InLevel,
    InLogLevel,
    Midpoint,
    Polynomial,
    PseudoImprovedEuler,
    Taylor,
    UniC,
    UniP,
)
from difflab.schedules import EDM, Tabulated, VariancePreserving, cosine, linear, noise_level, time_of
from difflab.types import Condition, Prediction
from one_pass import each

KDIFF = np.load(GOLDEN / "samplers_kdiff.npz")
PEER = np.load(GOLDEN / "multistep.npz")
X_0, EPS = Clean(), Eps()


def mixture(schedule):
    """The exact denoiser."""

    def denoise(x, t, cond, /):
        alpha, sigma = schedule(t)
        return Prediction(gmm_denoise(x / over(alpha, x), sigma / alpha))

    return denoise


class Times(Grid):
    """The times that it was given, and 0."""

    def __init__(self, times):
        self.times = torch.as_tensor([0.0, *sorted(times)], dtype=torch.float64)

    def __call__(self, schedule):
        return self.times


def growing(rule, falling=0, corrector=None):
    return lambda grid: Multistep(grid, rule, Growing(), falling, corrector)


def walked(sampler, schedule, x, denoise, seed=0, end=0, last_order=None):
    """The image at the chain's time of number `end`; the order falls to `last_order` there, as nothing older is remembered."""
    walk = sampler.walk(denoise, schedule, x, Condition())
    step, state = sampler.steps(walk), walk.start(x)
    noise = StepNoise(seed, len(x), len(walk.chain))
    while state.step > end:
        if last_order is not None:
            known = state.step - max(end, 1) + last_order - 1
            state = state._replace(memory=(state.memory or ())[:known])
        state = step(state, noise)
    return state.image


LIKE_KDIFF = {
    "lms": Polynomial(4, InLevel()),
    "lms_order2": Polynomial(2, InLevel()),
    "lms_order3": Polynomial(3, InLevel()),
    "dpmpp_2m": DPMSolver(2, X_0, Midpoint()),
    "dpmpp_2m_sde_eta0": DPMSolver(2, X_0, Midpoint()),
    "dpmpp_2m_sde_midpoint": DPMSolver(2, X_0, Midpoint(), eta=1.0),
    "dpmpp_2m_sde_heun": DPMSolver(2, X_0, Taylor(), eta=1.0),
    "dpmpp_3m_sde_eta0": DPMSolver(3, X_0, AsPublished(Taylor())),
    "dpmpp_3m_sde": DPMSolver(3, X_0, AsPublished(Taylor()), eta=1.0),
}


@each("name", LIKE_KDIFF)
def test_k_diffusion(name):
    sigmas, schedule = KDIFF["in/sigmas/karras12"], EDM()
    x_T = torch.from_numpy(KDIFF["in/latents"]) * sigmas[0]
    sampler = growing(LIKE_KDIFF[name])(KarrasGrid(12, sigmas[-2], sigmas[0]))
    image = walked(sampler, schedule, x_T, mixture(schedule), 71000)
    np.testing.assert_allclose(image, KDIFF[f"kdiff/karras12/{name}/final"], rtol=1e-11, atol=1e-12)


PP = growing(DPMSolver(2, X_0, Midpoint()), 15)
LIKE_DIFFUSERS = {
    **{
        f"PNDM/skip_prk=True/alpha_one=True/{n}": lambda grid: Multistep(grid, AdamsBashforth(4), PseudoImprovedEuler())
        for n in (10, 20)
    },
    **{f"DPMSolverMultistep/{name}/10": PP for name in ("cosine", "sample", "trailing")},
    "DPMSolverMultistep/sde-dpmsolver++/10": growing(DPMSolver(2, X_0, Midpoint(), eta=1.0), 15),
    **{f"UniPC/bh2/o{order}/zero/10": growing(UniP(order, X_0, B2()), np.inf, UniC(B2())) for order in (1, 2, 3)},
    "UniPC/default/20": growing(UniP(2, X_0, B2()), np.inf, UniC(B2())),
    "UniPC/no_corrector_all/10": growing(UniP(2, X_0, B2()), np.inf),
}


@each("name", LIKE_DIFFUSERS)
def test_diffusers(name):
    schedule, x_T = cosine(1000) if "cosine" in name else linear(1000), torch.from_numpy(PEER["in/latents"])
    grid = Times(np.unique(PEER[f"{name}/timesteps"] + 1.0) / 1000)
    image = walked(LIKE_DIFFUSERS[name](grid), schedule, x_T, mixture(schedule), 72000)
    np.testing.assert_allclose(image, PEER[f"{name}/final"], rtol=0, atol=1e-5)


ENDS_AT_FIRST_STEP = {
    "DEIS/o2/10": Polynomial(2, InLogLevel()),
    **{
        f"DPMSolverMultistep/dpmsolver/o{order}/{n}": DPMSolver(order, EPS, AsPublished(Midpoint()))
        for order in (1, 2, 3)
        for n in (10, 20)
    },
}


@each("name", ENDS_AT_FIRST_STEP)
def test_diffusers_where_it_ends_with_noise(name):
    """At the schedule's first step; its order falls there to 1 in chains of fewer than 15 steps."""
    schedule, x_T = linear(1000), torch.from_numpy(PEER["in/latents"])
    grid = Times(np.unique([1.0, *(PEER[f"{name}/timesteps"] + 1.0)]) / 1000)
    sampler = growing(ENDS_AT_FIRST_STEP[name])(grid)
    image = walked(sampler, schedule, x_T, mixture(schedule), 0, 1, 0 if name.endswith("/10") else None)
    np.testing.assert_allclose(image, PEER[f"{name}/final"], rtol=0, atol=1e-5)


AUTHORS = sorted(name.removesuffix("/final") for name in PEER.files if name.startswith("dpm_solver"))


def spaced(spacing, schedule, n):
    """Times from 1 to 0.001."""
    if spacing == "logSNR":
        ends = noise_level(schedule, torch.tensor([1e-3, 1.0], dtype=torch.float64)).log().tolist()
        return [*time_of(schedule, torch.linspace(*ends, n + 1).double().exp())[:-1].tolist(), 1.0]
    power = {"time_uniform": 1, "time_quadratic": 2}[spacing]
    return np.linspace(1e-3 ** (1 / power), 1, n + 1) ** power


@each("name", AUTHORS)
def test_the_authors_of_dpm_solver(name):
    kind, remembered, method, spacing, steps, *word = name.split("/")[1:]
    order, n = int(method[-1]), int(steps[1:])
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    schedule = VariancePreserving() if kind == "linear" else Tabulated(betas)
    exact = mixture(schedule)

    def asked_at_a_thousandth(x, t, cond, /):
        then = schedule(t / 1000)
        return Prediction(x0_from_eps(x, eps_from_x0(x, exact(x, t / 1000, cond).x0, then), schedule(t)))

    form = AsPublished(Taylor() if "solver_type=taylor" in word else Midpoint())
    rule = DPMSolver(order, X_0 if remembered.endswith("++") else EPS, form)
    sampler = growing(rule)(Times(spaced(spacing, schedule, n)))
    x_T = torch.from_numpy(rs_randn(11710, 2, 3, 4, 4, dtype=np.float64))
    lowered = n < 10 and "lower_order_final=False" not in word
    end = 0 if "denoise_to_zero=True" in word else 1
    denoise = asked_at_a_thousandth if kind == "linear" else exact
    image = walked(sampler, schedule, x_T, denoise, 0, end, 0 if lowered else None)
    # a table is interpolated in log alpha there, and in alpha and sigma here; times of log-SNRs are in float32 there
    exactly = spacing != "logSNR" if kind == "linear" else n == 9 and spacing == "time_uniform"
    close = 1e-9 if exactly else 2e-5
    np.testing.assert_allclose(image, PEER[f"{name}/final"], rtol=close, atol=close)


def test_there_are_cases():
    assert len(AUTHORS) > 20
    assert {re.sub(r"\d", "", name.split("/")[3]) for name in AUTHORS} == {"multistep"}


def test_published_steps_of_third_order_lack_half_a_term():
    """The numbers of k-diffusion's 3M SDE are not those of the Taylor series."""
    sigmas, schedule = KDIFF["in/sigmas/karras12"], EDM()
    x_T = torch.from_numpy(KDIFF["in/latents"]) * sigmas[0]
    sampler = growing(DPMSolver(3, X_0, Taylor()))(KarrasGrid(12, sigmas[-2], sigmas[0]))
    image = walked(sampler, schedule, x_T, mixture(schedule))
    apart = np.abs(image.numpy() - KDIFF["kdiff/karras12/dpmpp_3m_sde_eta0/final"]).max()
    assert apart == pytest.approx(0.0249, abs=1e-4)
