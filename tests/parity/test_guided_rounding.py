"""What golden/ddim_rounding.py says of the peer's first step at eta = 1."""

from __future__ import annotations

import itertools

import pytest
import torch
from ddim_rounding import ROUNDED, UNIT, float32_difference, with_their_number
from feeds import FakeNetwork, StepNoise
from guided import MEANS, SCHEDULES, difference
from guided_loops import COND, FACTS, X_T, WholeChain

from difflab.denoiser import Denoiser
from difflab.guidance import Clip
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, Tabulated
from difflab.variances import FixedSmall
from one_pass import each

SECTIONS = [
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "10",
    "ddim8",
    "4,3,2",
    "10,10,10",
    "ddim25",
    "25",
    "50",
    "100",
    "250",
]


def chain_of(process: str) -> Chain:
    kind, section = process.split("|")
    schedule = SCHEDULES[kind](1000)
    return Chain(schedule, UniformGrid(section)(schedule))


def differences(chain: Chain) -> list[float]:
    """sigma_s^2 - v at eta = 1, by step."""
    v = chain.transition(torch.arange(1, len(chain) + 1)).posterior_var
    return (chain.level.sigma[:-1].square() - v).clamp(min=0).tolist()


@each("process", ROUNDED)
def test_both_numbers(process):
    rounded, chain = ROUNDED[process], chain_of(process)
    assert differences(chain)[-1] / UNIT == pytest.approx(rounded.exact, rel=1e-3)
    before, now = chain.level.alpha[-2:].square().tolist()
    assert float32_difference(before, now, 1.0, rounded.last_bits) / UNIT == rounded.peer


def test_those_below_0_are_those_of_which_the_peer_makes_nan():
    assert {process for process, rounded in ROUNDED.items() if rounded.peer < 0} == set(FACTS["ddim_eta1_nan"])


@each(
    ("process", "mean"),
    [
        (process, mean)
        for process in [process for process, rounded in ROUNDED.items() if rounded.peer >= 0]
        for mean in MEANS
    ],
)
def test_the_gap_of_the_sample(process, mean):
    kind, section = process.split("|")
    schedule, grid, chain = SCHEDULES[kind](1000), UniformGrid(section), chain_of(process)
    table = None
    if mean == "PREVIOUS_X":  # as in test_guided_loops
        table = (chain.times[1:] * 1000 - 1).round().tolist()
        schedule, grid = Tabulated(chain.transition(torch.arange(1, len(chain) + 1)).var_ts), WholeChain()
    denoise = Clip()(Denoiser(FakeNetwork(False, table), schedule, MEANS[mean](schedule), FixedSmall()))
    noise, sampler = StepNoise(51000, len(X_T), len(chain)), DDIM(grid, eta=1.0)
    ours = sampler(denoise, schedule, X_T, COND, noise)
    theirs = with_their_number(ROUNDED[process], denoise, sampler, schedule, X_T, COND, noise)
    gap = difference(ours[None], theirs[None].numpy())
    assert gap == pytest.approx(ROUNDED[process].gap(f"{process}/{mean}"), rel=0.05, abs=5e-7)


@each("process", [f"{kind}|{section}" for kind in SCHEDULES for section in SECTIONS])
def test_no_other_number_is_off(process):
    chain = chain_of(process)
    bars = itertools.pairwise(chain.level.alpha.square().tolist())
    off = [
        abs(max(float32_difference(before, now, 1.0), 0) ** 0.5 - exact**0.5)
        for (before, now), exact in zip(bars, differences(chain), strict=True)
    ]
    assert max(off[:-1] if process in ROUNDED else off) < 6e-6
