"""Samplers in the numbers of diffusers, on the recipes' Gaussian mixture; see golden/README.md for how they were made.

Its tables are in float32, and a small step in eps magnifies their last digits: 3e-5 here.
"""

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import NoiseInOrder
from recipes import gmm_denoise, rs_randn

from difflab.process import over
from difflab.samplers import Multistep, Singlestep
from difflab.samplers.grids import Grid, LevelsGrid
from difflab.samplers.multistep import (
    B1,
    B2,
    AdamsBashforth,
    Clean,
    Corrector,
    Eps,
    Growing,
    PseudoRungeKutta,
    Rule,
    UniC,
    UniP,
)
from difflab.samplers.multistep.span import Span
from difflab.samplers.singlestep import Ancestral, EachStep, Leap, NoNoise, Orders
from difflab.samplers.singlestep.weights import at_end
from difflab.schedules import EDM, Tabulated
from difflab.types import Condition, Prediction
from one_pass import each

PEER = np.load(GOLDEN / "diffusers.npz")
NAMES = sorted(name.removesuffix("/final") for name in PEER.files if name.endswith("/final"))
SCHEDULE = Tabulated(np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
LATENTS = torch.from_numpy(rs_randn(11700, 2, 3, 4, 4, dtype=np.float64))


class Times(Grid):
    """The times of steps of the table, and 0."""

    def __init__(self, steps):
        self.times = torch.tensor([0.0, *sorted({(step + 1) / 1000 for step in steps})], dtype=torch.float64)

    def __call__(self, schedule):
        return self.times


class Ending(Rule):
    """A rule whose steps are of no higher order than there are steps left to the table's first, where the peer ends, with noise."""

    def __init__(self, rule: Rule, grid: Times):
        self.rule, self.quantity, self.order = rule, rule.quantity, rule.order
        self.times = grid.times.tolist()

    def shortened(self, span: Span) -> Span:
        return Span(span.schedule, span.end, span.past[: max(1, self.times.index(span.end.time))])

    def weights(self, span):
        return self.rule.weights(self.shortened(span))


class EndingCorrector(Corrector):
    """The corrector of such steps."""

    def __init__(self, corrector: Corrector, rule: Ending):
        self.corrector, self.rule = corrector, rule

    def weights(self, span, quantity):
        return self.corrector.weights(self.rule.shortened(span), quantity)


class Whole(Orders):
    """Steps of one order as long as they go into what is left to the table's first step, then one of as many evaluations as are left.

    Args:
        order: The highest.
    """

    def __init__(self, order: int):
        self.order = order

    def leap(self, i):
        order = min(self.order, i - 1)
        return Leap(order, order)


def as_on_arrival(z, ratios, ratio):
    """What the peer makes on the way of a step of third order: its step of second order."""
    return at_end(z, tuple(one / ratio for one in ratios))


def walked(sampler, schedule=SCHEDULE, x=LATENTS):
    """The images at all times of the chain, the clean one last."""

    def denoise(x, t, cond, /):
        alpha, sigma = schedule(t)
        return Prediction(gmm_denoise(x / over(alpha, x), (sigma / alpha).expand(len(x))))

    return [step.x_s for step in sampler.trajectory(denoise, schedule, x, Condition(), NoiseInOrder(11701, 2))]


def assert_is(found, name):
    np.testing.assert_allclose(found, PEER[f"{name}/final"], rtol=0, atol=3e-5)


def of(kind):
    return [name for name in NAMES if name.startswith(f"{kind}/")]


@each("name", of("UniPC"))
def test_unipc_with_either_b_and_in_eps(name):
    _, b, quantity, order, _ = name.split("/")
    b_of_h, grid = {"bh1": B1(), "bh2": B2()}[b], Times([0, *PEER[f"{name}/timesteps"]])
    rule = Ending(UniP(int(order[1:]), {"x0": Clean(), "eps": Eps()}[quantity], b_of_h), grid)
    assert_is(walked(Multistep(grid, rule, Growing(), 0, EndingCorrector(UniC(b_of_h), rule)))[-2], name)


@each("name", of("PNDM"))
def test_the_runge_kutta_start_of_pndm(name):
    """It asks twice at each time in between, which is half in t: their number, with those of three starting steps, is N + 9."""
    steps = int(name.rpartition("/")[2])
    sampler = Multistep(Times(np.arange(steps) * (1000 // steps)), AdamsBashforth(4), PseudoRungeKutta())
    assert len(PEER[f"{name}/timesteps"]) == steps + 9
    assert_is(walked(sampler)[-1], name)


@each("name", of("DPMSolverSinglestep"))
def test_singlestep_solvers(name):
    """Of first and second order, to the clean image or to the table's first step.

    Those of third order are the authors' (test_singlestep_samplers.py) but for the second place on the way: there the peer takes its step
    of second order, expm1(z) / (2 r), where DPM-Solver-3 has psi_2(z) / r (Lu et al. 2022, algorithm 5), as ours has.
    """
    _, kind, order, _ = name.split("/")
    ends_with_noise = kind == "dpmsolver"
    grid = Times([*PEER[f"{name}/timesteps"], *([0] if ends_with_noise else [])])
    sampler = Singlestep(grid, Whole(int(order[1:])), Eps() if ends_with_noise else Clean(), NoNoise())
    end = -2 if ends_with_noise else -1
    if order == "o3":
        ours = walked(sampler)[end]
        assert 1e-4 < np.abs(ours.numpy() - PEER[f"{name}/final"]).max() < 0.1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("difflab.samplers.singlestep.singlestep.at_node", as_on_arrival)
            assert_is(walked(sampler)[end], name)
    else:
        assert_is(walked(sampler)[end], name)


@each("name", [*of("KDPM2"), *of("KDPM2Ancestral")])
def test_second_order_steps_in_the_level(name):
    """Its images are x / alpha, beside which its first is as wide as the highest level."""
    kind, count = name.split("/")
    rows = torch.linspace(1, 0, int(count), dtype=torch.float64) * 999
    below = SCHEDULE((rows.floor() + 1) / 1000)
    above = SCHEDULE((rows.ceil() + 1) / 1000)
    levels = torch.lerp(below.sigma / below.alpha, above.sigma / above.alpha, rows - rows.floor())
    noise = Ancestral(1.0) if kind == "KDPM2Ancestral" else NoNoise()
    sampler = Singlestep(LevelsGrid(levels.tolist()), EachStep(2), Eps(), noise)
    assert_is(walked(sampler, EDM(sigma_max=80.0), LATENTS * levels[0])[-1], name)


def test_there_are_cases():
    assert {name.split("/")[0] for name in NAMES} == {"UniPC", "PNDM", "DPMSolverSinglestep", "KDPM2", "KDPM2Ancestral"}
    assert len(NAMES) == 36
