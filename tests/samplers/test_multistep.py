"""Multistep samplers: what holds for all of them, on a mixture of Gaussians whose denoiser is exact."""

import math

import pytest
import torch
from gaussian import affine_map, gaussian_denoiser

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.process import AlphaSigma, eps_from_x0, perturb
from difflab.samplers import DDIM, Multistep, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.samplers.multistep import (
    B1,
    B2,
    AdamsBashforth,
    AsPublished,
    Clean,
    DPMSolver,
    Eps,
    Growing,
    InLevel,
    InLogLevel,
    InTime,
    Midpoint,
    Place,
    Polynomial,
    PseudoImprovedEuler,
    PseudoRungeKutta,
    Span,
    Taylor,
    UniC,
    UniP,
)
from difflab.schedules import (
    EDM,
    LinearPath,
    VarianceExploding,
    VariancePreserving,
    cosine,
    warm_up,
    zero_terminal_snr,
)
from difflab.types import Condition, Prediction
from one_pass import each

MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.3, seed=1)
NOISE = ImageNoise(0, torch.arange(6))
VP = VariancePreserving()


RULES = {
    **{f"ab{order}": AdamsBashforth(order) for order in (1, 2, 3, 4)},
    **{f"{v.__name__}{order}": Polynomial(order, v()) for v in (InLevel, InLogLevel, InTime) for order in (1, 3)},
    **{
        f"{q.__name__}{order}": DPMSolver(order, q(), form)
        for q in (Eps, Clean)
        for order, form in ((1, Midpoint()), (2, Midpoint()), (3, AsPublished(Taylor())))
    },
    **{f"noisy {q.__name__}": DPMSolver(2, q(), Taylor(), 0.7) for q in (Eps, Clean)},
    **{f"uni_{b.__name__}{order}": UniP(order, Clean(), b()) for b, order in ((B1, 3), (B2, 1), (B2, 2), (B2, 3))},
}


def made(name, grid):
    start = PseudoRungeKutta() if name == "ab4" else PseudoImprovedEuler() if name == "ab3" else Growing()
    corrector = UniC(B2()) if name in ("uni_B22", "uni_B13", "Eps2", "InTime3", "ab2") else None
    return Multistep(grid, RULES[name], start, 15 if name.endswith("2") else 0, corrector)


def planned(sampler, schedule, noise=NOISE):
    x = sampler.initial_noise(schedule, MIXTURE.shape, noise)
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, x, Condition())
    return x, walk, sampler.steps(walk)


SCHEDULES = {
    "vp": VP,
    "edm": EDM(),
    "ve": VarianceExploding(),
    "cosine": cosine(1000),
    "straight": LinearPath(),
    "zero_snr": zero_terminal_snr(cosine(1000)),
}


@each("name", ["ab4", "ab2", "InTime3", "Clean3", "noisy Eps", "uni_B22"])
def test_any_schedule_can_be_walked_down(name):
    """Also one without a signal at t = 1, and every sample is near a component."""
    for schedule in SCHEDULES.values():
        sampler = made(name, UniformGrid(20))
        sampler.check(schedule)
        x = sampler.initial_noise(schedule, MIXTURE.shape, NOISE)
        images = sampler(MIXTURE.denoiser(schedule), schedule, x, Condition(), NOISE)
        nearest = (images[:, None] - MIXTURE.means).flatten(2).norm(dim=2).min(1).values
        assert nearest.max() < 7 * MIXTURE.std


@each("name", RULES)
def test_stepping_by_hand_goes_back_and_on(name):
    sampler = made(name, UniformGrid(8))
    x_T, walk, step = planned(sampler, VP)
    states = [walk.start(x_T)]
    while states[-1].t > 0:
        states.append(step(states[-1], NOISE))
    assert torch.equal(states[-1].image, sampler(MIXTURE.denoiser(VP), VP, x_T, Condition(), NOISE))
    half = states[3]
    again = half.with_image(half.image)
    while again.t > 0:
        again = step(again, NOISE)
    assert torch.equal(again.image, states[-1].image)
    # put back to an earlier step, what came after it is no past of it
    back = half._replace(step=states[2].step, t=states[2].t)
    fresh = back._replace(memory=None)
    assert torch.equal(step(back, NOISE).image, step(fresh, NOISE).image)


@each("name", ["ab4", "InTime3", "noisy Clean", "uni_B22"])
def test_images_do_not_depend_on_the_batch(name):
    sampler, seeds = made(name, UniformGrid(6)), torch.arange(6)
    whole = draw(MIXTURE.denoiser(VP), VP, sampler, MIXTURE.shape, seeds, Condition())
    part = draw(MIXTURE.denoiser(VP), VP, sampler, MIXTURE.shape, seeds[4:], Condition())
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole[4:], part, rtol=0, atol=0)


@each("name", [name for name, rule in RULES.items() if rule.order == 1])
def test_the_first_order_is_ddim(name):
    sampler = Multistep(UniformGrid(7), RULES[name], Growing())
    for schedule in SCHEDULES.values():
        x, *_ = planned(sampler, schedule)
        expected = DDIM(UniformGrid(7))(MIXTURE.denoiser(schedule), schedule, x, Condition(), NOISE)
        found = sampler(MIXTURE.denoiser(schedule), schedule, x, Condition(), NOISE)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_transfer_of_pndm_is_ddims_step():
    """Liu et al. 2022, eq. 11, as it stands there."""
    x, eps = torch.randn(2, 3, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    t, s = (cosine(1000)(torch.tensor([u]).double()) for u in (0.9, 0.7))
    bar_t, bar_s = float(t.alpha**2), float(s.alpha**2)
    factor = (bar_s - bar_t) / (math.sqrt(bar_t) * (math.sqrt((1 - bar_s) * bar_t) + math.sqrt((1 - bar_t) * bar_s)))
    expected = math.sqrt(bar_s / bar_t) * x - factor * eps
    image, (of_eps,), _ = Eps().straight(Span(VP, Place(0.7, *map(float, s)), (Place(0.9, *map(float, t)),)))
    torch.testing.assert_close(image * x + of_eps * eps, expected)
    x_0 = (x - float(t.sigma) * eps) / float(t.alpha)
    many = [AlphaSigma(*(value.expand(3) for value in level)) for level in (t, s)]
    torch.testing.assert_close(perturb(x_0, eps_from_x0(x, x_0, many[0]), many[1]), expected)


@each("name", ["pndm", "plms", "ipndm", "unipc"])
def test_calls(name):
    """One per step; Runge-Kutta has four in each of its three steps, an improved Euler step has two."""
    rule, start = AdamsBashforth(4), {"pndm": PseudoRungeKutta(), "plms": PseudoImprovedEuler()}.get(name, Growing())
    sampler = Multistep(UniformGrid(10), rule, start)
    if name == "unipc":
        sampler = Multistep(UniformGrid(10), UniP(3, Clean(), B2()), start, corrector=UniC(B2()))
    calls = []

    def denoise(x, t, cond, /):
        calls.append(float(t[0]))
        return MIXTURE.denoiser(VP)(x, t, cond)

    x, *_ = planned(sampler, VP)
    sampler(denoise, VP, x, Condition(), NOISE)
    assert len(calls) == {"pndm": 19, "plms": 11}.get(name, 10)


@each("eta", [0.5, 1.0])
def test_noise_keeps_the_distribution(eta):
    """Of Gaussian data with mean 0.3 and deviation 0.5, whichever quantity is remembered."""
    mu, s = 0.3, 0.5
    for quantity in (Clean(), Eps()):
        sampler = Multistep(KarrasGrid(400, 0.01, 100.0), DPMSolver(2, quantity, Midpoint(), eta), Growing())
        found = affine_map(sampler, VP, gaussian_denoiser(VP, mu, s))
        at_1 = VP(torch.ones(1).double())
        total = found.gain**2 * float(at_1.alpha**2 * s**2 + at_1.sigma**2) + found.added
        assert total == pytest.approx(s**2, rel=0.02)
        assert found.added > 0.3 * s**2
        assert found.offset + found.gain * mu * float(at_1.alpha) == pytest.approx(mu, abs=3e-3)


def test_polynomials_in_the_log_level_are_exponential_integrators():
    """DEIS's polynomial of eps in log rho is DPM-Solver's Taylor series, by another way."""
    for order in (2, 3):
        one = Multistep(KarrasGrid(12, 0.02, 100.0), Polynomial(order, InLogLevel()), Growing())
        other = Multistep(KarrasGrid(12, 0.02, 100.0), DPMSolver(order, Eps(), Taylor()), Growing())
        x, *_ = planned(one, VP)
        a, b = (s(MIXTURE.denoiser(VP), VP, x, Condition(), NOISE) for s in (one, other))
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_last_step_is_exactly_clean():
    for name in ("Clean3", "uni_B23", "InLogLevel3"):
        sampler = made(name, UniformGrid(6))
        x, *_ = planned(sampler, VP)
        last = list(sampler.trajectory(MIXTURE.denoiser(VP), VP, x, Condition(), NOISE))[-1]
        torch.testing.assert_close(last.x_s, last.x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdamsBashforth(5), r"has orders 1 to 4, not 5: set sampler.rule.order"),
        (lambda: Polynomial(0, InTime()), r"has orders 1 to 4, not 0"),
        (lambda: DPMSolver(4, Clean(), Midpoint()), r"DPM-Solver has orders 1 to 3, not 4"),
        (lambda: UniP(-1, Clean(), B2()), r"UniP has orders 1 to 4, not -1"),
        (lambda: DPMSolver(2, Clean(), Midpoint(), -1.0), "eta = -1.0 must not be negative"),
        (
            lambda: Multistep(UniformGrid(2), AdamsBashforth(4), Growing()).check(VP),
            r"order 4 uses as many predictions, and the grid has 2 steps: set sampler.grid.steps to at least 4, or sampler.rule.order to",
        ),
        (lambda: made("ab2", UniformGrid(200)).check(cosine(100)), "cannot take 200 sampling steps out of 100"),
        (
            lambda: Multistep(
                UniformGrid(9), DPMSolver(2, Clean(), Midpoint(), 1.0), Growing(), corrector=UniC(B2())
            ).check(VP),
            r"a corrector follows the equation without noise: set sampler.rule.eta=0",
        ),
    ],
)
def test_what_cannot_be_walked_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_chain_on_a_table_is_asked_at_its_rows_alone():
    """Half a step of Runge-Kutta too, where the steps are even."""
    schedule, seen = cosine(1000), []

    def denoise(x, t, cond, /):
        seen.append(float(t[0]) * 1000)
        return Prediction(MIXTURE.denoiser(schedule)(x, t, cond).x0)

    sampler = Multistep(UniformGrid("ddim10"), AdamsBashforth(4), PseudoRungeKutta())
    x, *_ = planned(sampler, schedule)
    sampler(denoise, schedule, x, Condition(), NOISE)
    assert seen[:9] == pytest.approx([901, 851, 851, 801, 801, 751, 751, 701, 701])
    assert all(abs(row - round(row)) < 1e-6 for row in seen)


@pytest.mark.parametrize(
    "make",
    [
        lambda grid, order: Multistep(grid, DPMSolver(order, Clean(), Midpoint()), Growing()),
        lambda grid, order: Multistep(grid, DPMSolver(order, Eps(), Midpoint()), Growing()),
        lambda grid, order: Multistep(grid, UniP(order, Clean(), B2()), Growing()),
    ],
)
def test_a_step_that_is_much_wider_than_the_last_is_of_first_order(make):
    """Down a warm-up of 1e-6 the last but one of 20 steps is 7.6 times as wide as the one before; all earlier ones are of second order."""
    schedule = warm_up()
    chain = make(UniformGrid(20), 2).chain(schedule)
    x = perturb(MIXTURE.sample(NOISE, torch.arange(6) % 3), NOISE.normal("x", (1, 2, 2)), chain[torch.full((6,), 4)])
    walk = make(UniformGrid(20), 2).walk(MIXTURE.denoiser(schedule), schedule, x, Condition())

    def after(order):
        step, state = make(UniformGrid(20), order).steps(walk), walk.start(x, 4)
        return step(step(state, NOISE), NOISE)

    second = after(2)
    assert (second.image - after(1).image).abs().max() > 1e-4  # the step from 3 to 2
    step = make(UniformGrid(20), 2).steps(walk)
    alone = step(walk.start(second.image, 2), NOISE)
    torch.testing.assert_close(step(second, NOISE).image, alone.image, rtol=0, atol=0)
