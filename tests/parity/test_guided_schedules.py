"""Schedules and respaced chains against guided-diffusion's arrays: float64 to 1e-9."""

import hashlib
import json

import numpy as np
import pytest
import torch
from guided import GOLDEN, SCHEDULES

from difflab.process import transition
from difflab.samplers.grids import UniformGrid, respace
from difflab.schedules import Chain, own_chain
from one_pass import each

ARRAYS = np.load(GOLDEN / "schedules_guided.npz")
FACTS = json.loads((GOLDEN / "schedules_guided.json").read_text(encoding="utf-8"))
ATTRIBUTES = [
    "betas",
    "alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
]
ROUNDING = 1e-15
"""The peer multiplies 1 - beta with beta = 1 - alpha_bar_t / alpha_bar_s: its smallest numbers keep these remains."""
WHOLE = sorted(
    {tuple(key.split("/")[:2]) for key in ARRAYS.files if key.count("/") == 2 and not key.startswith("edge")}
)
RESPACED = sorted({(key.split("/")[0], key.split("[")[1].split("]")[0]) for key in ARRAYS.files if "[" in key})


def ours(chain: Chain) -> dict[str, torch.Tensor]:
    step = chain.transition(torch.arange(1, len(chain) + 1))
    return {
        "betas": step.var_ts,
        "alphas_cumprod": chain.level.alpha[1:] ** 2,
        "posterior_variance": step.posterior_var,
        "posterior_log_variance_clipped": step.log_var_min,
        "posterior_mean_coef1": step.coef_x0,
        "posterior_mean_coef2": step.coef_xt,
        "sqrt_alphas_cumprod": chain.level.alpha[1:],
        "sqrt_one_minus_alphas_cumprod": chain.level.sigma[1:],
        "sqrt_recip_alphas_cumprod": 1 / chain.level.alpha[1:],
        "sqrt_recipm1_alphas_cumprod": chain.level.sigma[1:] / chain.level.alpha[1:],
        "log_one_minus_alphas_cumprod": 2 * torch.log(chain.level.sigma[1:]),
        "alphas_cumprod_prev": chain.level.alpha[:-1] ** 2,
    }


@each(("name", "steps"), WHOLE)
def test_every_array_of_the_whole_process(name, steps):
    schedule = SCHEDULES[name](int(steps))
    # the last bit of a cosine is the C library's
    np.testing.assert_allclose(schedule.betas, ARRAYS[f"{name}/{steps}/betas"], rtol=0, atol=2.0**-51)
    computed = ours(own_chain(schedule))
    compared = 0
    for attribute, value in computed.items():
        key = f"{name}/{steps}/{attribute}"
        if key in ARRAYS.files:
            np.testing.assert_allclose(value, ARRAYS[key], rtol=1e-9, atol=ROUNDING, err_msg=key)
            compared += 1
    assert compared >= (1 if steps == "4000" else len(ATTRIBUTES))


@each(("name", "section"), RESPACED)
def test_respacing_is_a_chain_of_fewer_times(name, section):
    schedule, prefix = SCHEDULES[name](1000), f"{name}/1000/respaced[{section}]"
    chain = Chain(schedule, UniformGrid(section)(schedule))
    np.testing.assert_array_equal(schedule.network_time(chain.times[1:]), ARRAYS[f"{prefix}/timestep_map"])
    for attribute in ATTRIBUTES:
        np.testing.assert_allclose(
            ours(chain)[attribute], ARRAYS[f"{prefix}/{attribute}"], rtol=1e-9, atol=ROUNDING, err_msg=attribute
        )


@each("case", [case for case in FACTS["space_timesteps"] if "[" not in case])
def test_kept_steps(case):
    of, section = case.split("|")
    assert respace(section, int(of)) == FACTS["space_timesteps"][case]


@each("of", [int(key) for key in FACTS["space_timesteps_sha12"] if key.isdigit()])
def test_kept_steps_for_every_number_of_steps(of):
    hashes = [
        hashlib.sha256(",".join(map(str, respace(str(n), of))).encode()).hexdigest()[:12] for n in range(1, of + 1)
    ]
    assert hashes == FACTS["space_timesteps_sha12"][str(of)].split()


def test_impossible_strides_are_refused():
    impossible = {int(n) for n in FACTS["ddimN_impossible_for_T1000"].split(",")} - {
        1
    }  # one step is no impossible stride
    for n in range(1, 1001):
        if n in impossible:
            with pytest.raises(ValueError, match=f"no integer stride takes {n} steps out of 1000"):
                respace(f"ddim{n}", 1000)
        else:
            assert len(respace(f"ddim{n}", 1000)) == n


def test_chains_of_one_step_work():
    schedule = SCHEDULES["cosine"](1)
    step = own_chain(schedule).transition(torch.tensor([1]))
    assert all(torch.isfinite(value).all() for value in step)
    assert step.coef_x0.item() == 1
    assert step.coef_xt.item() == 0
    one = Chain(SCHEDULES["linear"](1000), torch.tensor([0.0, 1.0], dtype=torch.float64)).transition(torch.tensor([1]))
    assert one.coef_x0.item() == pytest.approx(1, abs=1e-15)


def test_a_chain_that_ends_without_signal_stays_finite():
    """linear with 20 steps: the last beta is 1. guided-diffusion's tables hold inf here; the transition itself is well defined."""
    schedule = SCHEDULES["linear"](20)
    chain = own_chain(schedule)
    step = chain.transition(torch.arange(1, 21))
    assert all(torch.isfinite(value).all() for value in step)
    assert step.alpha_ts[-1] == 0
    assert step.coef_xt[-1] == 0
    np.testing.assert_allclose(step.coef_x0[-1], chain[19].alpha, rtol=1e-15)
    assert transition(chain[19], chain[20]).var_ts == 1
