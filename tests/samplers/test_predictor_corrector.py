"""Predictors and correctors against score_sde's numbers, against DDPM, and on mixtures."""

from functools import partial

import numpy as np
import pytest
import torch
from score_sde import SCORE_SDE, SDES, Draws, Peer, Stretched, Times, fed, mixture_score, table

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.samplers import DDIM, DDPM, Euler, Heun, PredictorCorrector, Sampler, StochasticEuler, Walk, draw
from difflab.samplers.along import Time
from difflab.samplers.correctors import AnnealedLangevinCorrector, Corrector, LangevinCorrector, Uncorrected
from difflab.samplers.diffusions import SBDM
from difflab.samplers.grids import Grid, KarrasGrid, UniformGrid
from difflab.samplers.last_steps import Mean
from difflab.samplers.predictors import ReverseDiffusion, ReverseFlow, Unmoved
from difflab.schedules import (
    EDM,
    Chain,
    NoiseSchedule,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    cosine,
    diffusion,
    linear,
    zero_terminal_snr,
)
from difflab.types import AlphaSigma, Condition
from difflab.variances import FixedLarge, FixedSmall


def large(grid):
    return DDPM(grid, FixedLarge())


def small(grid):
    return DDPM(grid, FixedSmall())


class Given(Grid):
    def __init__(self, *times: float):
        self.times = torch.tensor([0.0, *times], dtype=torch.float64)

    def __call__(self, schedule):
        return self.times


class Neighbours(NoiseSchedule):
    """Two levels, at t = 1/2 and 1."""

    steps = None

    def __init__(self, low, high):
        self.levels = torch.tensor([[1.0, 0.0], low, high], dtype=torch.float64)

    def __call__(self, t):
        return AlphaSigma(*self.levels[(2 * t).long()].T)

    def network_time(self, t):
        return t

    def time(self, u):
        return u


euler_maruyama = partial(StochasticEuler, diffusion=SBDM(), last_step=Mean())
PREDICTORS = {"reverse_diffusion/pf=0": ReverseDiffusion, "reverse_diffusion/pf=1": ReverseFlow}
SINGLE = [name for name in SCORE_SDE.files if name.startswith("predictor/") and name.endswith("/x")]
LOOPS = [
    name
    for name in SCORE_SDE.files
    # for Euler's steps the levels are stretched, which a corrector would notice
    if name.startswith("pc/") and "euler_maruyama-ald" not in name
]
CORRECTIONS = [
    name
    for name in SCORE_SDE.files
    # the ratio of its norms to those of an image differs from step to step
    if name.startswith("corrector/") and name.endswith("/x") and "langevin/n=3" not in name
]


def one(part, schedule, chain, x, score, noise):
    """A step of a sampler, or a correction, at the end of a chain, where the score is given."""
    walk = Walk(lambda x, t, cond: fed(schedule(t), x, score), schedule, chain, Condition(), x)
    step = part.steps(walk) if isinstance(part, Sampler) else part.corrections(walk)
    return step(walk.start(x), noise).image


@pytest.mark.parametrize("name", [name for name in SINGLE if "euler" not in name and "subvp" not in name])
def test_a_step_of_a_predictor_is_the_peers(name):
    _, sde, kind, flow, _ = name.split("/")
    schedule, count = SDES[sde]
    t = torch.tensor([1e-5, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0], dtype=torch.float64)
    x = torch.from_numpy(np.random.RandomState(9200).randn(8, 3, 4, 4)) * schedule(t).sigma.reshape(-1, 1, 1, 1)
    score, noise = mixture_score(schedule, x, t), np.random.RandomState(9201).randn(8, 3, 4, 4)
    make = {**PREDICTORS, "ancestral_sampling/pf=0": small if "ve" in sde else large}[f"{kind}/{flow}"]
    levels = torch.stack(table(schedule, count), 1).tolist()
    for b, row in enumerate((t * (count - 1)).long().tolist()):
        first = row == 0
        pair = Neighbours([1.0, 0.0] if first else levels[row - 1], levels[row])
        grid = Given(1.0) if first else Given(0.5, 1.0)
        found = one(make(grid), pair, Chain(pair, grid.times), x[b : b + 1], score[b : b + 1], Fixed(noise[b : b + 1]))
        wanted = SCORE_SDE[name if not first else f"{name}_mean"][b]
        np.testing.assert_allclose(found[0], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name", [name for name in SINGLE if "euler" in name or "subvp_1000/reverse_diffusion/pf=0" in name]
)
def test_a_step_of_euler_and_maruyama_is_the_peers(name):
    """Of the sub-VP process its reverse diffusion is the same step."""
    schedule, count = SDES[name.split("/")[1]]
    t = torch.tensor([1e-5, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0], dtype=torch.float64)
    x = torch.from_numpy(np.random.RandomState(9200).randn(8, 3, 4, 4)) * schedule(t).sigma.reshape(-1, 1, 1, 1)
    score, noise = mixture_score(schedule, x, t), np.random.RandomState(9201).randn(8, 3, 4, 4)
    for b in range(2, 8):
        grid = Given(float(t[b]) - 1 / count, float(t[b]))
        part, chain = euler_maruyama(grid), Chain(schedule, grid.times)
        found = one(part, schedule, chain, x[b : b + 1], score[b : b + 1], Fixed(noise[b : b + 1]))
        np.testing.assert_allclose(found[0], SCORE_SDE[name][b], rtol=1e-9, atol=1e-9)


class Fixed(ImageNoise):
    def __init__(self, *arrays):
        super().__init__(0, torch.arange(1))
        self.arrays = list(arrays)

    def normal(self, purpose, shape, step=0):
        return torch.from_numpy(self.arrays.pop(0))


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_step_of_a_corrector_is_the_peers(name):
    """Its norms are means over the batch: an image is given the ratio that makes its own step as long."""
    _, sde, kind, n, _ = name.split("/")
    count = int(n.removeprefix("n="))
    schedule, rows = SDES[sde]
    t = torch.tensor([1e-5, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0], dtype=torch.float64)
    x = torch.from_numpy(np.random.RandomState(9200).randn(8, 3, 4, 4)) * schedule(t).sigma.reshape(-1, 1, 1, 1)
    noises = [np.random.RandomState(9202 + k).randn(8, 3, 4, 4) for k in range(count)]
    ratio = (torch.from_numpy(noises[0]), mixture_score(schedule, x, t))
    ratio = [v.flatten(1).norm(dim=1) for v in ratio]
    betas = 1 - (table(schedule, rows).alpha[1:] / table(schedule, rows).alpha[:-1]) ** 2
    for b, row in enumerate((t * (rows - 1)).long().tolist()):
        beta = 1 - float(table(schedule, rows).alpha[0]) ** 2 if row == 0 else float(betas[row - 1])
        sigma, alpha = float(schedule(t[b : b + 1]).sigma), (1 - beta) ** 0.5
        pair = Neighbours([1.0, 0.0], [alpha, sigma])
        snr = 0.16 * float((ratio[0].mean() / ratio[1].mean()) / (ratio[0][b] / ratio[1][b]))
        part = AnnealedLangevinCorrector(0.16, count) if kind == "ald" else LangevinCorrector(snr)
        chain, cond = Chain(pair, Given(1.0).times), Condition()
        walk = Walk(
            lambda x, _, c, b=b, pair=pair: fed(pair(torch.ones(1)), x, mixture_score(schedule, x, t[b : b + 1])),
            pair,
            chain,
            cond,
            x[b : b + 1],
        )
        found = part.corrections(walk)(walk.start(x[b : b + 1]), Fixed(*(z[b : b + 1] for z in noises))).image
        np.testing.assert_allclose(found[0], SCORE_SDE[name][b], rtol=1e-9, atol=1e-9)


class OfFormula(Peer):
    """Its annealed Langevin corrector asks for the noise of the formula, and for the signal of the table."""

    def __call__(self, t):
        return AlphaSigma(super().__call__(t).alpha, self.schedule(t).sigma)


class OfBatch(Corrector):
    """The peer's Langevin corrector, whose norms are means over the batch: what difflab does not have, for its loops."""

    def __init__(self, count: int):
        self.count = count

    def corrections(self, walk):
        alpha, sigma = walk.chain.level

        def correct(state, noise):
            i, x = state.step, state.image
            kept = (alpha[i] / alpha[i - 1]) ** 2
            for _ in range(self.count):
                score = (alpha[i] * walk.predict(x, state.t).x0 - x) / sigma[i] ** 2
                z = noise.normal("corrector", tuple(x.shape[1:]))
                norms = [v.flatten(1).norm(dim=1).mean() for v in (z, score)]
                size = 2 * kept * (0.16 * norms[0] / norms[1]) ** 2
                x = x + size * score + (2 * size).sqrt() * z
            return state.with_image(x)

        return correct


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "/N60/" in name else name for name in LOOPS]
)
def test_a_whole_walk_is_the_peers(name):
    """The last noise, which is not added here, is the last one that it draws. Steps of its sub-VP process are Euler's in any case."""
    _, sde, count, parts, flow, denoised, _ = name.split("/")
    schedule = {
        "ve50": VarianceExploding(0.01, 50.0),
        "vp": VariancePreserving(19.9, 0.1),
        "subvp": SubVariancePreserving(19.9, 0.1),
    }[sde]
    eps, steps = 1e-5 if sde == "ve50" else 1e-3, int(count[1:])
    kind, corrector = parts.split("-")
    euler = kind == "euler_maruyama" or sde == "subvp"
    peer = Stretched(schedule, steps, eps) if euler else (OfFormula if kind == "none" else Peer)(schedule, steps)
    make = {
        **PREDICTORS,
        "euler_maruyama/pf=0": euler_maruyama,
        "ancestral_sampling/pf=0": small if sde == "ve50" else large,
        "none/pf=0": Unmoved,
        **({"reverse_diffusion/pf=1": partial(Euler, along=Time())} if euler else {}),
    }[f"{kind}/{flow}"]
    times = int(corrector[-1])
    correct = {"none": Uncorrected(), "langevin": OfBatch(times), "ald": AnnealedLangevinCorrector(0.16, times)}[
        corrector[:-1]
    ]
    noise = Draws(9300 + steps, 3)
    x_T = noise.normal("x_T", (3, 4, 4)) * (50.0 if sde == "ve50" else 1.0)
    grid = UniformGrid(steps) if euler else Times(steps, eps)
    image = PredictorCorrector(grid, make, correct)(peer.denoise, peer, x_T, Condition(), noise)
    if denoised == "denoise=0":
        image = image + Chain(peer, grid(peer)).transition(torch.tensor([1])).var_ts.sqrt() * noise.normal(
            "", (3, 4, 4)
        )
    np.testing.assert_allclose(image, SCORE_SDE[name], rtol=1e-8, atol=1e-8)


def test_ancestral_sampling_is_the_papers_step_of_variance_beta():
    """x_s = (x_t + beta score) / sqrt(1 - beta) + sqrt(beta) z (Song et al. 2021, eq. 4), which is how DDPM is written there."""
    schedule, x = linear(50), torch.from_numpy(np.random.RandomState(0).randn(4, 3, 4, 4))
    chain = Chain(schedule, UniformGrid(50)(schedule))
    mixture = GaussianMixture.random(3, (3, 4, 4), spread=0.5, std=0.2, seed=1)
    walk = Walk(mixture.denoiser(schedule), schedule, chain, Condition(), x)
    step = PredictorCorrector(UniformGrid(50), large, Uncorrected()).steps(walk)
    noise = ImageNoise(0, torch.arange(4))
    for i in range(2, 51):
        found = step(walk.start(x, i), noise).image
        beta, (alpha, sigma) = schedule.betas[i - 1], chain[torch.full((4,), i)]
        mean = (x + beta * mixture.score(x, alpha, sigma)) / (1 - beta).sqrt()
        wanted = mean + beta.sqrt() * noise.normal("step", (3, 4, 4), step=i)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


SHAPE = (1, 8, 8)
DATA = GaussianMixture(torch.stack([torch.full(SHAPE, 0.5), torch.full(SHAPE, -0.3)]).double(), [0.3, 0.7], 0.5)
SUB = SubVariancePreserving()
VE, VP = VarianceExploding(0.01, 20.0), VariancePreserving()


@pytest.mark.parametrize(
    ("schedule", "make", "corrector"),
    [
        pytest.param(VE, ReverseDiffusion, AnnealedLangevinCorrector(0.1), marks=pytest.mark.slow),
        pytest.param(VP, ReverseDiffusion, LangevinCorrector(0.1, 2), marks=pytest.mark.slow),
        pytest.param(SUB, ReverseDiffusion, LangevinCorrector(0.1), marks=pytest.mark.slow),
        (SUB, euler_maruyama, Uncorrected()),
        pytest.param(SUB, large, Uncorrected(), marks=pytest.mark.slow),
        (VP, euler_maruyama, LangevinCorrector(0.1)),
        pytest.param(VP, DDIM, LangevinCorrector(0.1), marks=pytest.mark.slow),
        pytest.param(cosine(1000), ReverseDiffusion, LangevinCorrector(0.1), marks=pytest.mark.slow),
        pytest.param(EDM(), lambda grid: Heun(KarrasGrid(100)), AnnealedLangevinCorrector(0.1), marks=pytest.mark.slow),
    ],
)
def test_a_mixture_comes_out(schedule, make, corrector):
    """Shares, mean and deviation of both components."""
    grid = KarrasGrid(100) if isinstance(schedule, EDM) else UniformGrid(100)
    images = draw(
        DATA.denoiser(schedule),
        schedule,
        PredictorCorrector(grid, make, corrector),
        SHAPE,
        torch.arange(400),
        Condition(),
        torch.float64,
    )
    mean = images.flatten(1).mean(1)
    first = mean > 0.1
    assert first.double().mean().item() == pytest.approx(0.3, abs=0.08)
    assert images[first].mean().item() == pytest.approx(0.5, abs=0.03)
    assert images[~first].mean().item() == pytest.approx(-0.3, abs=0.03)
    assert images[first].std().item() == pytest.approx(0.5, rel=0.06)


def test_the_equations_of_the_schedules():
    """f and g^2 of Song et al. 2021, eq. 9, 11 and 12."""
    t = torch.linspace(0.01, 1, 20, dtype=torch.float64)
    beta, integral = 0.1 + 19.9 * t, 0.1 * t + 19.9 / 2 * t**2
    for schedule, drift, power in [
        (VE, 0 * t, 2 * VE(t).sigma ** 2 * np.log(2000)),
        (VP, -beta / 2, beta),
        (SUB, -beta / 2, beta * (1 - torch.exp(-2 * integral))),
    ]:
        torch.testing.assert_close(diffusion(schedule, t).drift, drift, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(diffusion(schedule, t).power, power, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("sde", ["ve_50_1000", "ve_90_500", "subvp_1000", "subvp_b05_10_200"])
def test_the_equations_are_the_peers(sde):
    schedule, _ = SDES[sde]
    t, x = torch.from_numpy(SCORE_SDE[f"sde/{sde}/t"]), torch.from_numpy(np.random.RandomState(9000).randn(8, 3, 4, 4))
    drift, power = diffusion(schedule, t)
    np.testing.assert_allclose(drift.reshape(-1, 1, 1, 1) * x, SCORE_SDE[f"sde/{sde}/drift"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(power.sqrt(), SCORE_SDE[f"sde/{sde}/diffusion"], rtol=1e-7)
    np.testing.assert_allclose(schedule(t).sigma, SCORE_SDE[f"sde/{sde}/std"], rtol=1e-7)
    np.testing.assert_allclose(
        schedule(t).alpha.reshape(-1, 1, 1, 1) * x, SCORE_SDE[f"sde/{sde}/mean"], rtol=1e-9, atol=1e-12
    )


def test_an_image_does_not_depend_on_those_beside_it():
    sampler = PredictorCorrector(UniformGrid(10), ReverseDiffusion, LangevinCorrector(0.16, 2))
    images = draw(DATA.denoiser(VE), VE, sampler, SHAPE, torch.arange(5), Condition(), torch.float64)
    alone = draw(DATA.denoiser(VE), VE, sampler, SHAPE, torch.arange(3, 4), Condition(), torch.float64)
    torch.testing.assert_close(alone, images[3:4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: euler_maruyama(UniformGrid(10)).check(cosine(1000)),
            "Tabulated is a table of 1000 steps and has no drift",
        ),
        (
            lambda: euler_maruyama(UniformGrid(10)).check(Flow()),
            "SBDM is infinite at t = 1, where Flow leaves no signal",
        ),
        (
            lambda: langevin(UniformGrid(10)).check(VP, shape=(2,)),
            "no mean width for points of 2 numbers: use sampler/corrector=annealed_langevin",
        ),
        (lambda: langevin(UniformGrid(100)).check(EDM()), "noise level of 8e-13 at the first time of the grid"),
        (lambda: LangevinCorrector(snr=0.0), "snr must be positive and steps at least 1"),
        (lambda: AnnealedLangevinCorrector(steps=0), "choose sampler/corrector=uncorrected"),
    ],
)
def test_what_cannot_be_walked_is_refused(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def langevin(grid):
    return PredictorCorrector(grid, ReverseDiffusion, LangevinCorrector(0.1))


def test_points_and_lowest_levels_are_no_matter_to_steps_by_the_noise_level():
    langevin(KarrasGrid(10)).check(EDM())
    langevin(UniformGrid(10)).check(VP, shape=(3,))
    known = PredictorCorrector(UniformGrid(100), ReverseDiffusion, AnnealedLangevinCorrector(0.1))
    known.check(EDM(), shape=(2,))


def test_without_a_score_an_image_stays_where_it_is():
    """Its step would be infinitely wide, and what comes of it no number."""
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chain, score = Chain(VE, UniformGrid(2)(VE)), torch.zeros_like(x)
    score[1] = -x[1]
    walk = Walk(lambda x, t, cond: fed(VE(t), x, score), VE, chain, Condition(), x)
    found = LangevinCorrector(0.1).corrections(walk)(walk.start(x), ImageNoise(0, torch.arange(2))).image
    assert torch.equal(found[0], x[0])
    assert found.isfinite().all()
    assert (found[1] - x[1]).abs().mean() > 1e-3


class Flow(NoiseSchedule):
    steps = None

    def __call__(self, t):
        return AlphaSigma(1 - t, t)

    def network_time(self, t):
        return t

    def time(self, u):
        return u


def test_without_signal_nothing_is_corrected():
    """alpha_ts is 0 in the first step down a schedule that leaves none: no step, and no division by it."""
    schedule = zero_terminal_snr(linear(20))
    sampler = PredictorCorrector(UniformGrid(20), ReverseDiffusion, LangevinCorrector(0.1))
    images = draw(DATA.denoiser(schedule), schedule, sampler, SHAPE, torch.arange(4), Condition(), torch.float64)
    assert images.isfinite().all()
