"""Parameterizations: what the network should say, and that x_0 comes back from it."""

import numpy as np
import pytest
import torch
from feeds import FixedOutput

from difflab.denoiser import Denoiser, RawOutput
from difflab.parameterizations import X0, Epsilon, PreviousX, Velocity
from difflab.process import over, perturb, posterior_mean
from difflab.schedules import (
    ContinuousCosine,
    cosine,
    linear,
    own_chain,
    scaled_linear,
    sigmoid,
    sqrt,
    zero_terminal_snr,
)
from difflab.types import Condition
from difflab.variances import FixedSmall, LearnedRange
from one_pass import each

SCHEDULES = {
    "linear": linear(1000),
    "linear50": linear(50),
    "cosine": cosine(1000),
    "cosine4000": cosine(4000),
    "scaled_linear": scaled_linear(1000),
    "sigmoid": sigmoid(1000),
    "sqrt": sqrt(1000),
    "zero_snr": zero_terminal_snr(linear(1000)),
    "continuous": ContinuousCosine(64, 32),
}
PARAMETERIZATIONS = {
    "epsilon": lambda s: Epsilon(),
    "x0": lambda s: X0(),
    "velocity": lambda s: Velocity(),
    "previous_x": PreviousX,
}
PAIRS = [
    (schedule, parameterization)
    for schedule in SCHEDULES
    for parameterization in PARAMETERIZATIONS
    if (schedule, parameterization) not in {("zero_snr", "epsilon"), ("continuous", "previous_x")}
]
T = torch.tensor([1e-3, 0.02, 0.25, 0.5, 0.9, 0.98, 1.0], dtype=torch.float64)
RNG = np.random.RandomState(3)
X_0, EPS = torch.from_numpy(RNG.uniform(-1, 1, (7, 3, 4, 4))), torch.from_numpy(RNG.randn(7, 3, 4, 4))


def read(schedule_name, parameterization_name, t=T):
    """Raw output, and the schedule's level, where the network says 0."""
    schedule = SCHEDULES[schedule_name]
    denoiser = Denoiser(
        FixedOutput(torch.zeros_like(X_0), 3),
        schedule,
        PARAMETERIZATIONS[parameterization_name](schedule),
        FixedSmall(),
    )
    t = schedule.time(t.clamp(max=1 - 1e-9)) if schedule.steps else t
    x_t = perturb(X_0, EPS, schedule(t))
    return schedule, t, x_t, denoiser.raw(x_t, t, Condition())


@each(("schedule", "parameterization"), PAIRS)
def test_the_right_answer_gives_back_x0(schedule, parameterization):
    _, _, x_t, raw = read(schedule, parameterization)
    said = RawOutput(raw.target(X_0, EPS), None, raw.c, raw.level)
    torch.testing.assert_close(said.x0(x_t), X_0, rtol=0, atol=1e-9)


@each(("schedule", "parameterization"), PAIRS)
def test_the_target_is_what_the_name_says(schedule, parameterization):
    table, t, x_t, raw = read(schedule, parameterization)
    level = table(t)
    alpha, sigma = over(level.alpha, X_0), over(level.sigma, X_0)
    if parameterization == "previous_x":
        expected = posterior_mean(own_chain(table).transition(own_chain(table).index(t)), X_0, x_t)
    else:
        expected = {"epsilon": EPS, "x0": X_0, "velocity": alpha * EPS - sigma * X_0}[parameterization]
    torch.testing.assert_close(
        raw.target(X_0, EPS), expected, rtol=1e-12, atol=1e-11 if parameterization == "previous_x" else 1e-12
    )


@each("schedule", [name for name in SCHEDULES if name != "zero_snr"])
def test_in_float32_the_noise_to_be_predicted_is_the_noise(schedule):
    """Not what is left of it after (x_0 - x_t / alpha) alpha / sigma in float32."""
    _, _, _, raw = read(schedule, "epsilon")
    assert torch.equal(raw.target(X_0.float(), EPS.float()), EPS.float())
    _, _, _, raw = read(schedule, "x0")
    assert torch.equal(raw.target(X_0.float(), EPS.float()), X_0.float())


def test_previous_x_at_the_first_step_is_x0():
    _, _, _, raw = read("linear", "previous_x", torch.full((7,), 1e-4, dtype=torch.float64))
    torch.testing.assert_close(raw.target(X_0, EPS), X_0, rtol=1e-13, atol=1e-13)


def test_refusals_teach():
    network = FixedOutput(torch.zeros(1, 3, 4, 4), 3)
    with pytest.raises(ValueError, match=r"no signal .* parameterization=velocity or x0"):
        Denoiser(network, zero_terminal_snr(linear(1000)), Epsilon(), FixedSmall())
    with pytest.raises(ValueError, match="needs a discrete schedule"):
        PreviousX(ContinuousCosine(32, 32))
    with pytest.raises(
        ValueError, match=r"puts out 3 channels, but LearnedRange .* needs 6: set network.out_channels=6"
    ):
        Denoiser(network, linear(1000), Epsilon(), LearnedRange())
