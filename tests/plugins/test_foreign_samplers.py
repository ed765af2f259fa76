"""Samplers of other people: numbers of their authors' code, closed forms, and one and the same wrapper around every sampler."""

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import FakeNetwork
from recipes import gmm_denoise, rs_images, rs_randn
from repaint import RePaint
from sdedit import SDEdit

from difflab.data import ArrayImages, GaussianMixture
from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.parameterizations import Epsilon, FlowVelocity
from difflab.samplers import DDIM, DDPM, Euler, Heun, Multistep, PredictorCorrector, draw
from difflab.samplers.along import Time
from difflab.samplers.correctors import LangevinCorrector, Uncorrected
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.samplers.multistep import AdamsBashforth, Clean, DPMSolver, Growing, Midpoint, PseudoImprovedEuler
from difflab.schedules import LinearPath, VariancePreserving, linear
from difflab.types import Condition, Prediction
from difflab.variances import FixedSmall, Learned, LearnedRange

PEER = np.load(GOLDEN / "families.npz")
NOISE = ImageNoise(0, torch.arange(2))
VP = VariancePreserving()
MIXTURE = GaussianMixture.random(components=3, shape=(1, 2, 2), spread=0.8, std=0.3, seed=1)


def mixture(schedule):
    """The exact denoiser of the recipes' mixture."""

    def denoise(x, t, cond, /):
        alpha, sigma = (value.to(x).reshape(-1, 1, 1, 1) for value in schedule(t))
        return Prediction(gmm_denoise(x / alpha, (sigma / alpha).flatten()))

    return denoise


class InTurn:
    """The k-th draw is that of RandomState(seed + k), whatever it is for; `order` says which of the next draws comes first."""

    def __init__(self, seed: int, batch: int):
        self.seed, self.k, self.number = seed, 0, torch.arange(batch)

    def randn(self, k, shape):
        return torch.from_numpy(np.random.RandomState(self.seed + k).randn(len(self.number), *shape))

    def normal(self, purpose, shape, step=0):
        self.k += 1
        return self.randn(self.k - 1, shape)

    def uniform(self, purpose, shape=(), step=0):
        raise AssertionError("nothing uniform is drawn")

    def shared(self, divisor):
        return self


@pytest.mark.parametrize("width", [0.1, 0.05])
def test_euler_in_time_is_that_of_flow_matching(width):
    x_T, schedule = torch.from_numpy(rs_randn(11110, 2, 3, 4, 4, dtype=np.float64)), LinearPath()

    def denoise(x, t, cond, /):
        alpha, sigma = (value.clamp(min=1e-5) for value in schedule(t))
        return Prediction(gmm_denoise(x / alpha.reshape(-1, 1, 1, 1), sigma / alpha))

    image = Euler(UniformGrid(round(1 / width)), along=Time())(denoise, schedule, x_T, Condition(), NOISE)
    np.testing.assert_allclose(image, PEER[f"ode/CondOT/euler/{width}/2/final"], rtol=0, atol=1e-4)


def test_a_flow_learns_the_direction():
    denoiser = Denoiser(FakeNetwork(False), LinearPath(), FlowVelocity(LinearPath()), FixedSmall())
    x_0, eps = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = denoiser.raw(0.3 * x_0 + 0.7 * eps, torch.full((2,), 0.7, dtype=torch.float64), Condition())
    torch.testing.assert_close(raw.target(x_0, eps), eps - x_0)


class Painted(RePaint):
    """With the known parts of the golden numbers."""

    def part(self, x, noise):
        keep = torch.from_numpy(np.random.RandomState(10402).rand(2, 1, 4, 4) < 0.5).expand(2, 3, 4, 4)
        return torch.from_numpy(rs_images(10401, 2, 3, 4, 4)), keep


class Order(InTurn):
    """RePaint's: the noise of a step, which we ask for last, is drawn before that of the known part."""

    known = False

    def normal(self, purpose, shape, step=0):
        purpose = purpose.partition("/")[0]
        if purpose == "known":
            self.known = True
            return self.randn(self.k + 1, shape).float()
        self.k += 1
        found = self.randn(self.k - 1, shape).float()
        if purpose == "step" and self.known:
            self.k, self.known = self.k + 1, False
        return found


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("learned/10/jl1_jn4", Learned),
        ("learned/20/jl10_jn2", Learned),
        ("learned/25/jl5_jn3", Learned),
        ("learned_range/25/jl5_jn3", LearnedRange),
        ("learned/25/jl1_jn1", Learned),
    ],
)
def test_repaint_is_its_authors(name, variance):
    schedule, (_, steps, jump) = linear(1000), name.split("/")
    length, returns = (int(word[2:]) for word in jump.split("_"))
    denoiser = Denoiser(FakeNetwork(True), schedule, Epsilon(), variance())
    known = ArrayImages(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    sampler = Painted(DDPM(UniformGrid(steps), denoiser.variance), known, 0, length, returns - 1)
    x_T = torch.from_numpy(rs_randn(10400, 2, 3, 4, 4))
    image = sampler(denoiser, schedule, x_T, Condition(), Order(10403, 2))
    np.testing.assert_allclose(image, PEER[f"repaint_loop/{name}/clip=0/final"], rtol=1e-4, atol=1e-4)


INNER = {
    "ddpm": lambda: DDPM(UniformGrid(20), FixedSmall()),
    "ddim": lambda: DDIM(UniformGrid(20)),
    "heun": lambda: Heun(KarrasGrid(20, 0.02, 100.0)),
    "dpm_solver": lambda: Multistep(KarrasGrid(20, 0.02, 100.0), DPMSolver(2, Clean(), Midpoint()), Growing()),
    "plms": lambda: Multistep(UniformGrid(20), AdamsBashforth(4), PseudoImprovedEuler()),
    "in time": lambda: Heun(UniformGrid(20), along=Time()),
}
KNOWN = ArrayImages(torch.tensor([[[[0, 255], [255, 0]]]], dtype=torch.uint8))


def shown(sampler, count=64):
    sampler.check(VP)
    return draw(MIXTURE.denoiser(VP), VP, sampler, (1, 2, 2), torch.arange(count), Condition(), torch.float64)


@pytest.mark.parametrize("name", INNER)
def test_wrappers_go_around_any_sampler(name):
    plain = shown(INNER[name]())
    grid, same = INNER[name]().grid, lambda grid: INNER[name]()
    assert torch.equal(shown(PredictorCorrector(grid, same, Uncorrected())), plain)
    torch.testing.assert_close(shown(RePaint(INNER[name](), KNOWN, 0, 5, 0)), plain)
    corrected, painted = (
        shown(PredictorCorrector(grid, same, LangevinCorrector(0.16))),
        shown(RePaint(INNER[name](), KNOWN, 1, 5, 2)),
    )
    assert corrected.isfinite().all()
    assert (corrected - plain).abs().mean() > 1e-3
    # what is known comes back: the last step denoises it from the first level, and the mixture pulls at it
    target = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    assert (painted[:, 0, :, 0] - target).abs().mean() < (plain[:, 0, :, 0] - target).abs().mean()
    little = shown(SDEdit(INNER[name](), KNOWN, 0.02))
    assert (little - torch.tensor([[-1.0, 1.0], [1.0, -1.0]])).abs().mean() < 0.4
    assert (shown(SDEdit(INNER[name](), KNOWN, 0.9)) - little).abs().mean() > 0.2


def test_corrections_keep_a_distribution():
    """Gaussian data of 64 dimensions come out with their mean and deviation, however often each step is corrected."""
    shape = (1, 8, 8)
    data = GaussianMixture(torch.full((1, *shape), 0.3, dtype=torch.float64), torch.ones(1), 0.5)
    sampler = PredictorCorrector(
        UniformGrid(100), lambda grid: DDPM(grid, FixedSmall()), LangevinCorrector(snr=0.1, steps=3)
    )
    images = draw(data.denoiser(VP), VP, sampler, shape, torch.arange(60), Condition(), torch.float64)
    assert images.mean().item() == pytest.approx(0.3, abs=0.03)
    assert images.std().item() == pytest.approx(0.5, rel=0.06)
