"""Every schedule: what must hold for all, closed forms, other projects' tables, refusals."""

import math

import numpy as np
import pytest
import torch
from guided import GOLDEN
from scipy.special import expit

from difflab.process import snr
from difflab.schedules import (
    Chain,
    ContinuousCosine,
    Tabulated,
    cosine,
    linear,
    own_chain,
    scaled_linear,
    sigmoid,
    sqrt,
    zero_terminal_snr,
)
from difflab.schedules.discrete import betas_along
from one_pass import each

PEERS = np.load(GOLDEN / "schedules_extra.npz")
DISCRETE = {
    "linear": linear,
    "cosine": cosine,
    "scaled_linear": scaled_linear,
    "sigmoid": sigmoid,
    "sqrt": sqrt,
    "zero_terminal_snr": lambda steps: zero_terminal_snr(scaled_linear(steps)),
}
ALL = {name: make(1000) for name, make in DISCRETE.items()} | {
    "continuous_cosine": ContinuousCosine(32, 32),
    "shifted_cosine": ContinuousCosine(256, 64),
}


def alpha_bar(schedule):
    return (own_chain(schedule).level.alpha[1:] ** 2).numpy()


def row_times(steps):
    return torch.arange(1, steps + 1, dtype=torch.float64) / steps


@each("name", ALL)
def test_log_snr_falls_and_variance_is_preserved(name):
    schedule = ALL[name]
    t = torch.linspace(0.001, 1, 1000, dtype=torch.float64)
    at_rows = schedule(t)
    assert (torch.log(snr(at_rows)).diff() < 0).all()
    torch.testing.assert_close(at_rows.alpha**2 + at_rows.sigma**2, torch.ones_like(t), rtol=1e-14, atol=0)
    between = schedule(torch.linspace(0.0011, 0.9999, 3331, dtype=torch.float64))
    assert (torch.log(snr(between)).diff() < 0).all()


@each("steps", [1, 2, 3, 7, 49, 100, 999, 1000, 1023, 3999, 4000])
def test_times_hit_the_rows_of_the_table_exactly(steps):
    """However t = (i + 1) / T is computed: as a quotient, or as a multiple of 1 / T, or from float32 thirds."""
    schedule = cosine(steps)
    product = torch.cumprod(1 - schedule.betas, 0)
    for t in (
        row_times(steps),
        torch.arange(1, steps + 1).double() * (1 / steps),
        1 - torch.arange(steps).double().flip(0) / steps,
    ):
        level = schedule(t)
        assert torch.equal(level.alpha, product.sqrt())
        assert torch.equal(level.sigma, (1 - product).sqrt())
        assert torch.equal(schedule.network_time(t), torch.arange(steps).double())


def test_between_rows_the_table_is_interpolated():
    schedule = linear(100)
    low, high = schedule(torch.tensor([0.5], dtype=torch.float64)), schedule(torch.tensor([0.51], dtype=torch.float64))
    between = schedule(torch.tensor([0.5025], dtype=torch.float64))
    torch.testing.assert_close(between.alpha, 0.75 * low.alpha + 0.25 * high.alpha)
    assert schedule.network_time(torch.tensor([0.5025], dtype=torch.float64)).item() == pytest.approx(49.25)
    clean = schedule(torch.zeros(1, dtype=torch.float64))
    assert (clean.alpha.item(), clean.sigma.item()) == (1, 0)


def test_time_scale_is_what_the_network_is_told():
    t = row_times(4000)
    torch.testing.assert_close(cosine(4000, time_scale=0.25).network_time(t), torch.arange(4000).double() / 4)
    torch.testing.assert_close(ContinuousCosine(32, 32).network_time(t), 1000 * t)


@pytest.mark.parametrize("steps", [1, 10, 1000, 4000])
def test_training_times_are_the_steps_each_with_the_same_share(steps):
    schedule = cosine(steps)
    u = (torch.arange(5 * steps).double() + 0.5) / (5 * steps)
    drawn = schedule.time(u)
    assert torch.equal(schedule.network_time(drawn), torch.arange(steps).double().repeat_interleave(5))
    ends = schedule.time(torch.tensor([0.0, 1 - 2**-33, 1.0], dtype=torch.float64))
    assert torch.equal(ends, torch.tensor([1 / steps, 1, 1], dtype=torch.float64))


@pytest.mark.parametrize(("offset", "steps"), [(0.008, 1000), (0.02, 50)])
def test_cosine_follows_its_curve(offset, steps):
    u = np.arange(steps + 1) / steps
    f = np.cos((u + offset) / (1 + offset) * np.pi / 2) ** 2
    np.testing.assert_allclose(alpha_bar(cosine(steps, offset))[:-1], f[1:-1] / f[0], rtol=1e-9)
    assert cosine(steps, offset).betas[-1] == 0.999


def test_sqrt_follows_its_curve():
    u = np.arange(1001) / 1000
    f = 1 - np.sqrt(u + 1e-4)
    np.testing.assert_allclose(alpha_bar(sqrt(1000))[:-1], f[1:-1] / f[0], rtol=1e-9)
    assert sqrt(1000).betas[-1] == 0.999


def test_linear_keeps_its_noise_at_any_length():
    for steps in (100, 250, 4000):
        betas = linear(steps).betas
        assert betas[0].item() == pytest.approx(0.1 / steps)
        assert betas[-1].item() == pytest.approx(20 / steps)
        np.testing.assert_allclose(betas.diff(), betas.diff().mean(), rtol=1e-9)
    assert math.log(alpha_bar(linear(4000))[-1]) == pytest.approx(math.log(alpha_bar(linear(1000))[-1]), rel=0.02)


@pytest.mark.parametrize("steps", [100, 1000])
def test_lucidrains_tables(steps):
    for name, make in {"linear": linear, "cosine": cosine}.items():
        np.testing.assert_allclose(
            make(steps).betas, PEERS[f"lucidrains/{name}/{steps}"], rtol=1e-9, atol=1e-15, err_msg=name
        )
    # their sigmoid takes the two ends of the curve in float32: with those it is ours, and otherwise near it
    first, last = np.float32(expit(-3)).astype(float), np.float32(expit(3)).astype(float)
    with_their_ends = betas_along(lambda u: (last - expit(-3 + 6 * u)) / (last - first), steps, 0.999)
    np.testing.assert_allclose(with_their_ends, PEERS[f"lucidrains/sigmoid/{steps}"], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(sigmoid(steps).betas, PEERS[f"lucidrains/sigmoid/{steps}"], rtol=2e-5)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_diffusers_tables(name):
    make = {"squaredcos_cap_v2": cosine, "linear": linear, "scaled_linear": lambda n: scaled_linear(n, 1e-4, 0.02)}[
        name
    ]
    np.testing.assert_allclose(make(1000).betas, PEERS[f"diffusers/{name}/betas"], rtol=1e-6)
    # their running product is in float32
    np.testing.assert_allclose(alpha_bar(make(1000)), PEERS[f"diffusers/{name}/alphas_cumprod"], rtol=2e-5)


def test_scaled_linear_as_released():
    betas = scaled_linear(1000).betas
    assert betas[0].item() == pytest.approx(0.00085)
    assert betas[-1].item() == pytest.approx(0.012)
    np.testing.assert_allclose(betas.sqrt().diff(), betas.sqrt().diff().mean(), rtol=1e-9)


def test_zero_terminal_snr():
    ours = zero_terminal_snr(linear(1000))
    np.testing.assert_allclose(alpha_bar(ours), PEERS["diffusers/linear_zero_snr/alphas_cumprod"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(ours.betas, PEERS["diffusers/linear_zero_snr/betas"], rtol=1e-3, atol=1e-6)
    assert alpha_bar(ours)[-1] == 0
    assert alpha_bar(ours)[0] == pytest.approx(alpha_bar(linear(1000))[0], rel=1e-12)
    assert zero_terminal_snr(cosine(50, time_scale=20.0)).time_scale == 20


def test_continuous_cosine_closed_form():
    """Without truncation alpha = cos(pi t / 2); the range of log-SNR is exactly the one given."""
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    wide = ContinuousCosine(64, 64, log_snr_min=-60.0, log_snr_max=60.0)(t)
    torch.testing.assert_close(wide.alpha, torch.cos(math.pi / 2 * t), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(wide.sigma, torch.sin(math.pi / 2 * t), rtol=1e-9, atol=1e-9)
    ends = torch.log(snr(ContinuousCosine(64, 64)(torch.tensor([0.0, 1.0], dtype=torch.float64))))
    torch.testing.assert_close(ends, torch.tensor([15.0, -15.0], dtype=torch.float64), rtol=1e-9, atol=0)


def test_the_shift_gives_a_large_image_the_noise_of_its_pooled_version():
    """Averaging 4 x 4 pixels divides sigma by 4: the shifted schedule at 256 has the SNR at 64 of the pooled image."""
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    large, small = ContinuousCosine(256, 64)(t), ContinuousCosine(64, 64)(t)
    torch.testing.assert_close(snr(large) * 4**2, snr(small), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(10), "10 steps ends at beta = 2 > 1: use at least 20 steps"),
        (lambda: linear(0), "at least one step"),
        (lambda: scaled_linear(0), "at least one step"),
        (lambda: cosine(0), "at least one step"),
        (lambda: cosine(-3), "at least one step"),
        (lambda: Tabulated([0.1, 1.5, 0.1]), r"betas\[1\] = 1.5 is outside"),
        (lambda: Tabulated([0.1, 0.0]), r"betas\[1\] = 0 is outside"),
        (lambda: Tabulated([0.1, math.nan]), r"betas\[1\] = nan is outside"),
        (lambda: Tabulated([]), "one per step"),
        (lambda: Tabulated(np.zeros((2, 2))), "one per step"),
        (lambda: Tabulated([0.5, 1.0, 0.5]), "no signal for the steps after"),
        (lambda: zero_terminal_snr(cosine(1)), "at least 2 steps"),
        (lambda: ContinuousCosine(0, 64), "at least 1"),
        (lambda: ContinuousCosine(64, 64, log_snr_min=3.0, log_snr_max=3.0), "must be below"),
        (lambda: Chain(cosine(10), torch.tensor([0.0, 0.5, 0.4], dtype=torch.float64)), "rising times"),
        (lambda: Chain(cosine(10), torch.tensor([0.1, 0.5], dtype=torch.float64)), "rising times"),
        (lambda: own_chain(ContinuousCosine(64, 64)), "no steps of its own"),
    ],
)
def test_refusals_teach(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_chain_knows_its_steps_and_ends_at_the_clean_image():
    schedule = ContinuousCosine(64, 64)
    times = torch.tensor([0.0, 0.3, 0.55, 1.0], dtype=torch.float64)
    chain = Chain(schedule, times)
    assert torch.equal(chain.index(times[1:]), torch.tensor([1, 2, 3]))
    assert chain.transition(torch.tensor([1])).coef_xt.item() == 0
    assert chain.transition(torch.tensor([1])).coef_x0.item() == pytest.approx(1, abs=1e-12)
    assert schedule(torch.zeros(1, dtype=torch.float64)).sigma > 0  # the schedule itself keeps a rest of noise


class Table(ContinuousCosine):
    """A schedule that answers with its own storage."""

    def __init__(self):
        super().__init__(64, 64)
        self.level = super().__call__(torch.linspace(0, 1, 5, dtype=torch.float64))

    def __call__(self, t):
        return self.level


def test_a_chain_leaves_the_schedule_alone():
    schedule = Table()
    before = schedule.level.sigma.clone()
    Chain(schedule, torch.linspace(0, 1, 5, dtype=torch.float64))
    assert torch.equal(schedule.level.sigma, before)
