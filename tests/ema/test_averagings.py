"""Decays: what each average is made of, in closed form."""

import numpy as np
import pytest

from difflab.ema import Constant, HalfLife, PowerFunction, WarmUp, initial_share, youth


def profile(averaging, steps):
    """Shares of the initial weights and of those after each step in the average."""
    shares = np.zeros(steps + 1)
    shares[0] = 1
    for step in range(1, steps + 1):
        beta = averaging.beta(step)
        shares *= beta
        shares[step] = 1 - beta
    return shares


@pytest.mark.parametrize("averaging", [Constant(0.99), WarmUp(0.99), HalfLife(500.0, 8), PowerFunction(0.1)])
def test_shares_are_positive_and_add_up_to_one(averaging):
    shares = profile(averaging, 300)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert (shares >= 0).all()


def test_constant_decay_is_geometric():
    shares = profile(Constant(0.9), 50)
    np.testing.assert_allclose(shares[0], 0.9**50)
    np.testing.assert_allclose(shares[1:], 0.1 * 0.9 ** np.arange(49, -1, -1))


def test_warm_up_by_tensorflows_rule():
    betas = [WarmUp(0.99).beta(n) for n in (1, 2, 10, 889, 890, 10**6)]
    np.testing.assert_allclose(betas, [2 / 11, 3 / 12, 11 / 20, 890 / 899, 0.99, 0.99])
    assert profile(WarmUp(0.9999), 100)[0] < 1e-9 < 0.9 < profile(Constant(0.9999), 100)[0]


def test_half_life_halves_after_so_many_images_whatever_the_batch():
    for batch in (1, 10, 100):
        averaging = HalfLife(1000.0, batch, ramp_up=1e9)
        first = 3
        kept = np.prod([averaging.beta(step) for step in range(first, first + 1000 // batch)])
        assert kept == pytest.approx(0.5, rel=1e-9)


def test_half_life_ramps_up_as_in_edm():
    """0.5 ** (batch / max(min(half_life, images * 0.05), 1e-8)), images being those before the step."""
    averaging, images = HalfLife(2000.0, 64), 0
    for step in range(1, 1000):
        assert averaging.beta(step) == pytest.approx(0.5 ** (64 / max(min(2000, images * 0.05), 1e-8)), rel=1e-12)
        images += 64


@pytest.mark.parametrize("std", [0.01, 0.05, 0.1, 0.2, 0.28])
def test_power_function_solves_edm2s_equation(std):
    gamma = PowerFunction(std).gamma
    assert gamma > 0
    assert (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) == pytest.approx(std**2, rel=1e-9)


def test_power_functions_published_exponents():
    """EDM2, section 3.1: 10 % is gamma of about 6.94, 5 % of about 16.97."""
    assert PowerFunction(0.1).gamma == pytest.approx(6.94, abs=0.005)
    assert PowerFunction(0.05).gamma == pytest.approx(16.97, abs=0.005)


@pytest.mark.parametrize("std", [0.05, 0.1, 0.25])
def test_power_function_profile(std):
    """Step i counts i^(gamma + 1) - (i - 1)^(gamma + 1), which is i^gamma up to a factor; its relative spread is `std`."""
    averaging, n = PowerFunction(std), 4000
    shares, i = profile(averaging, n), np.arange(1, n + 1)
    power = averaging.gamma + 1
    np.testing.assert_allclose(shares[1:], (i / n) ** power - ((i - 1) / n) ** power, rtol=1e-7, atol=1e-18)
    assert shares[0] == 0
    late = i > n / 2
    ratio = shares[1:][late] / (i[late] / n) ** averaging.gamma
    np.testing.assert_allclose(ratio / ratio[-1], 1, rtol=0.01)
    mean = (shares[1:] * i).sum()
    assert np.sqrt((shares[1:] * (i - mean) ** 2).sum()) / n == pytest.approx(std, rel=2e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(1.0),
        lambda: Constant(-0.1),
        lambda: WarmUp(1.0),
        lambda: HalfLife(0.0, 8),
        lambda: HalfLife(100.0, 8, ramp_up=0.0),
        lambda: HalfLife(100.0, 0),
        lambda: PowerFunction(0.3),
        lambda: PowerFunction(0.0),
    ],
)
def test_refusals(make):
    with pytest.raises(ValueError, match="must be"):
        make()


def test_how_much_of_the_beginning_an_average_still_holds():
    assert initial_share(Constant(0.9999), 5000) == pytest.approx(0.9999**5000)
    assert "'slow' still holds 61 % of its initial weights after 5000 steps" in youth("slow", Constant(0.9999), 5000)
    assert youth("slow", Constant(0.9999), 100_000) == ""
    for averaging in (WarmUp(0.9999), HalfLife(500_000, 32), PowerFunction(0.1)):
        assert youth("soon", averaging, 100) == ""
