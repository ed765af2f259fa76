"""Paths, conversions, losses and samplers of SiT's and flow_matching's code, whose t is 0 at noise and 1 at data: ours is 1 - t."""

import json
from collections.abc import Callable

import numpy as np
import torch
from edm import GOLDEN
from feeds import FixedTimes, StepNoise, SuppliedNoise
from recipes import FakeModel, gmm, rs_images, rs_randn

from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.objectives import Simple
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import FlowVelocity
from difflab.process import eps_from_x0, over, perturb, score_from_x0, x0_from_eps
from difflab.samplers import Euler, StochasticEuler, StochasticHeun
from difflab.samplers.along import Time
from difflab.samplers.diffusions import SBDM, Constant, Falling, LinearInTime, NoiseScale, SquaredSine
from difflab.samplers.grids import Grid
from difflab.samplers.last_steps import Mean, Tweedie
from difflab.schedules import CosinePath, LinearPath, VariancePreserving, noise_level, rates, time_of
from difflab.types import AlphaSigma, Condition, Label, Prediction
from difflab.variances import FixedSmall
from one_pass import each

PEER = np.load(GOLDEN / "flows.npz")
CASES = json.loads((GOLDEN / "flows.json").read_text(encoding="utf-8"))["cases"]
VP = VariancePreserving()
PATHS = {"Linear": LinearPath(), "CondOT": LinearPath(), "GVP": CosinePath(), "Cosine": CosinePath(), "VP": VP}
MEANS, WEIGHTS, STD = gmm((3, 4, 4))
MIXTURE = GaussianMixture(torch.from_numpy(MEANS), torch.from_numpy(WEIGHTS), STD)


class Polynomial(LinearPath.__base__):
    """alpha = (1 - t)^2, sigma = 1 - alpha: flow_matching's PolynomialConvexScheduler(2), a path that difflab does not have."""

    steps = None

    def __call__(self, t):
        alpha = (1 - t.double()) ** 2
        return AlphaSigma(alpha, 1 - alpha)

    def network_time(self, t):
        return t

    def time(self, u):
        return u


class LinearVP(Polynomial):
    """alpha = 1 - t, sigma = sqrt(1 - alpha^2): flow_matching's LinearVPScheduler."""

    def __call__(self, t):
        alpha = 1 - t.double()
        return AlphaSigma(alpha, (1 - alpha**2).sqrt())


PATHS |= {"Poly2": Polynomial(), "LinearVP": LinearVP()}


class Times(Grid):
    """0 and the given times."""

    def __init__(self, times):
        self.times = times

    def __call__(self, schedule):
        return torch.cat([torch.zeros(1, dtype=torch.float64), torch.as_tensor(self.times, dtype=torch.float64)])


def normal(seed, *shape):
    return torch.from_numpy(rs_randn(seed, *shape, dtype=np.float64))


def of(kind, *families):
    return [case for case in CASES if any(case.startswith(f"{family}/{kind}/") for family in families)]


def assert_is(found, case, array, tolerance=1e-9):
    torch.testing.assert_close(found, torch.from_numpy(PEER[f"{case}/{array}"]), rtol=tolerance, atol=tolerance)


def velocity_of(schedule, x_t, t, x_0):
    """The parameterization's F, read backwards from the x_0 that it makes of it."""
    alpha, sigma = schedule(t)
    c = FlowVelocity(schedule)(t, alpha, sigma, t)
    return (x_0 - over(c.c_skip, x_t) * x_t) / over(c.c_out, x_t)


def x0_of(schedule, x_t, t, velocity):
    alpha, sigma = schedule(t)
    c = FlowVelocity(schedule)(t, alpha, sigma, t)
    return over(c.c_skip, x_t) * x_t + over(c.c_out, x_t) * velocity


@each("case", of("path", "sit"))
def test_a_path_and_its_conversions_are_sits(case):
    schedule, t = PATHS[case.split("/")[2]], 1 - torch.tensor(CASES[case]["t"], dtype=torch.float64)
    x, eps, v = (normal(seed, 7, 3, 4, 4) for seed in (10200, 10201, 10202))
    level = schedule(t)
    for name, found in zip(("alpha", "sigma"), level, strict=True):
        assert_is(found, case, name)
    for name, found in zip(("d_alpha", "d_sigma"), rates(schedule, t), strict=True):
        assert_is(-found, case, name)
    assert_is(perturb(x, eps, level), case, "xt")
    assert_is(-velocity_of(schedule, perturb(x, eps, level), t, x), case, "ut")
    x_0 = x0_of(schedule, x, t, -v)
    assert_is(score_from_x0(x, x_0, level), case, "score_from_v")
    assert_is(eps_from_x0(x, x_0, level), case, "noise_from_v")
    norm = CASES[case]["norm"]
    coefficients = {
        "diffusion_constant": Constant(2 * norm),
        "diffusion_SBDM": SBDM(norm),
        "diffusion_sigma": NoiseScale(2 * norm),
        "diffusion_linear": LinearInTime(2 * norm),
        "diffusion_decreasing": Falling(2, swing=norm),
        "diffusion_inccreasing-decreasing": SquaredSine(2 * norm),
    }
    for name, diffusion in coefficients.items():
        theirs = torch.from_numpy(PEER[f"{case}/{name}"]).expand(7)
        torch.testing.assert_close(diffusion(schedule, t) / 2, theirs, rtol=1e-9, atol=1e-12)


@each("case", of("affine", "flow_matching"))
def test_conversions_are_those_of_flow_matching(case):
    schedule, t = PATHS[case.split("/")[2]], 1 - torch.tensor(CASES[case]["t"], dtype=torch.float64)
    eps, x_0, v = (normal(seed, 7, 3, 4, 4) for seed in (11100, 11101, 11102))
    level = schedule(t)
    x_t = perturb(x_0, eps, level)
    assert_is(x_t, case, "x_t")
    assert_is(-velocity_of(schedule, x_t, t, x_0), case, "dx_t", 1e-8)
    assert_is(x0_of(schedule, x_0, t, -v), case, "velocity_to_target", 1e-8)
    assert_is(eps_from_x0(x_0, x0_of(schedule, x_0, t, -v), level), case, "velocity_to_epsilon", 1e-8)
    assert_is(-velocity_of(schedule, x_0, t, v), case, "target_to_velocity", 1e-8)
    assert_is(-velocity_of(schedule, x_0, t, x0_from_eps(x_0, v, level)), case, "epsilon_to_velocity", 1e-8)


def test_the_cosine_path_is_that_of_flow_matching():
    case = "flow_matching/scheduler/Cosine"
    t = 1 - torch.tensor(CASES[case]["t"], dtype=torch.float64)
    for name, found in zip(("alpha", "sigma"), CosinePath()(t), strict=True):
        assert_is(found, case, name)
    snr = torch.tensor(CASES[case]["snr"], dtype=torch.float64)
    # its snr is alpha / sigma
    assert_is(1 - time_of(CosinePath(), 1 / snr), case, "snr_inverse", 1e-7)


@each("case", of("transform", "flow_matching"))
def test_a_model_of_one_path_is_the_model_of_another(case):
    """Its velocity along the other follows from E[x_0 | x] at the time of the same noise level, x being scaled."""
    own, other = (PATHS[name] for name in case.split("/")[2].split("_to_"))
    t, x = 1 - torch.tensor(CASES[case]["t"], dtype=torch.float64), normal(11130, 5, 3, 4, 4)
    at = time_of(own, noise_level(other, t))
    level = own(at)
    x_0 = MIXTURE.denoise(over(level.alpha / other(t).alpha, x) * x, *level)
    assert_is(-velocity_of(other, x, t, x_0), case, "u", 1e-6)


class Peers(Network):
    """The recipes' FakeModel on SiT's time, which says the velocity from noise to data."""

    in_channels = out_channels = 3
    image_size = 4

    def __init__(self, told: Callable):
        super().__init__()
        self.told = told

    def forward(self, x, time, cond):
        label = Label.of(cond)
        assert label is not None
        # FakeModel takes a time of up to 1000
        return -FakeModel(False)(x, 1000 * self.told(time), label.number)


@each("case", of("loss", "sit"))
def test_the_loss_of_a_velocity_is_sits(case):
    name = case.split("/")[2]
    schedule, scale = PATHS[name], 999 if name == "VP" else 1000
    eps = np.random.RandomState(10230).randn(5, 3, 4, 4)
    u = torch.from_numpy(np.random.RandomState(10231).rand(5))
    t = schedule.time(1 - u)
    x_0 = torch.from_numpy(rs_images(10220, 5, 3, 4, 4)).double()
    denoiser = Denoiser(Peers(lambda time: 1 - time / scale), schedule, FlowVelocity(schedule), FixedSmall()).double()
    losses = Simple(FixedTimes(t), Unweighted())(
        denoiser, x_0, Condition(label=Label(torch.arange(5))), SuppliedNoise({"eps": eps})
    )
    assert_is(losses.total, case, "loss", 1e-6)


def walked(sampler, schedule, x, noise):
    """The states of a walk on the recipes' mixture."""

    def denoise(x_t, t, cond, /):
        return Prediction(MIXTURE.denoise(x_t, *schedule(t)))

    return [step.x_s for step in sampler.trajectory(denoise, schedule, x, Condition(), noise)]


@each("case", of("ode", "sit", "flow_matching"))
def test_eulers_method_along_time_is_theirs(case):
    family, _, name, *rest = case.split("/")
    schedule = PATHS[name]
    if family == "sit":
        steps = int(rest[2].removeprefix("N")) - 1
        x, end = normal(10240, 2, 3, 4, 4), 0.001 if name == "VP" else 0.0
        times = torch.linspace(end, 1, steps + 1, dtype=torch.float64)
    else:
        steps, x, end = round(1 / CASES[case]["step_size"]), normal(11110, 2, 3, 4, 4), 0.0
        times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    found = walked(Euler(Times(times[times > 0].tolist()), along=Time()), schedule, x, StepNoise(0, 2, steps))
    # they keep away from the ends by 1e-6 or 1e-5, and SiT's VP stops at 0.001, before our step to the image
    assert_is(found[steps - 1], case, "final", 2e-4)


DIFFUSIONS = {
    "SBDM": SBDM(0.9),
    "sigma": NoiseScale(1.8),
    "linear": LinearInTime(1.8),
    "decreasing": Falling(2, swing=0.9),
    "inccreasing-decreasing": SquaredSine(1.8),
}
LAST = {"Mean": Mean(), "Tweedie": Tweedie(), "None": Mean()}


@each("case", [case for case in of("sde", "sit") if "velocity/Euler/linear-None" not in case])
def test_stochastic_samplers_are_sits(case):
    _, _, name, _, solver, diffusion, _ = case.split("/")
    form, _, last = diffusion.rpartition("-")
    first, final = CASES[case]["t_first_last"]
    stays = last.startswith("None")  # its last sample is that at the last of 20 times, of which 19 were asked
    times = torch.linspace(0.001 if stays else 1 - final, 1 - first, 20, dtype=torch.float64).tolist()
    kind = StochasticEuler if solver == "Euler" else StochasticHeun
    sampler = kind(Times(times), DIFFUSIONS[form], LAST[last.removesuffix("0.04")])
    found = walked(sampler, PATHS[name], normal(10250, 2, 3, 4, 4), StepNoise(CASES[case]["noise_seed"], 2, 20))
    assert_is(found[18 if stays else 19], case, "before_last" if stays else "final", 1e-4)
