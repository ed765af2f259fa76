"""What number the network is told of the noise, and noise levels between the steps of a table: SR3's training."""

import math

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import FixedTimes, StepNoise, SuppliedNoise
from recipes import rs_images, rs_randn

from difflab import noise_conditioning as told
from difflab.denoiser import Denoiser
from difflab.guidance import Clip
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import VLB, Simple
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import EDM, Epsilon
from difflab.samplers import DDPM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import (
    BetweenSteps,
    Tabulated,
    VariancePreserving,
    cosine,
    harmonic,
    linear,
    scaled_linear,
    warm_up,
)
from difflab.types import Condition, GivenImage
from difflab.variances import FixedSmall
from one_pass import each
from tiny import TinyNetwork

PEER = np.load(GOLDEN / "families.npz")
BETAS = np.linspace(1e-6, 0.01, 200)


class Palette(Network):
    """The peer's network: 0.9 tanh(0.8 x + 0.3 c + 0.3 cos(pi gamma)), and what it was told."""

    in_channels, out_channels, image_size = 3, 3, 4

    def forward(self, x, time, cond):
        self.time = time
        image = GivenImage.of(cond)
        assert image is not None
        return 0.9 * torch.tanh(
            0.8 * x + 0.3 * image.values + 0.3 * torch.cos(math.pi * time).reshape(-1, 1, 1, 1).to(x)
        )


def test_loss_of_palette():
    """t from 1 to T - 1, gamma uniform between those of two steps, which the network is told (arXiv 2104.07636, algorithm 1)."""
    draws = [np.random.RandomState(11492 + k) for k in range(3)]
    step, fraction = draws[0].randint(1, 200, size=2), draws[1].rand(2, 1)[:, 0]
    eps = draws[2].randn(2, 3, 4, 4).astype(np.float32)
    schedule = BetweenSteps(Tabulated(BETAS))
    # their step t is between the ends of our steps t and t + 1
    t = torch.from_numpy((step + fraction) / 200)
    denoiser = Denoiser(Palette(), schedule, Epsilon(), FixedSmall(), told.AlphaBar(scale=1.0))
    cond = Condition(image=GivenImage(torch.from_numpy(rs_randn(11472, 2, 3, 4, 4)), torch.zeros(2).double()))
    objective = Simple(FixedTimes(t), Unweighted())
    losses = objective(denoiser, torch.from_numpy(rs_images(11471, 2, 3, 4, 4)), cond, SuppliedNoise({"eps": eps}))
    assert losses.total.mean().item() == pytest.approx(PEER["palette_loss/s11492/loss"].item(), rel=1e-6)
    gamma = np.cumprod(1 - BETAS)
    np.testing.assert_allclose(
        denoiser.network.time, gamma[step - 1] + (gamma[step] - gamma[step - 1]) * fraction, rtol=1e-9
    )


@each("steps", [12, 25])
def test_samples_of_palette(steps):
    """Ancestral steps of a network that is told alpha_bar."""
    schedule = Tabulated(np.linspace(1e-4, 0.09, steps))
    denoiser = Denoiser(Palette(), schedule, Epsilon(), FixedSmall(), told.AlphaBar(scale=1.0))
    cond = Condition(image=GivenImage(torch.from_numpy(rs_randn(11472, 2, 3, 4, 4)), torch.zeros(2).double()))
    x_T = torch.from_numpy(np.random.RandomState(11474).randn(2, 3, 4, 4)).float()
    sampler = DDPM(UniformGrid(steps), FixedSmall())
    image = sampler(Clip()(denoiser), schedule, x_T, cond, StepNoise(11475, 2, steps))
    np.testing.assert_allclose(image, PEER[f"palette_restore/N{steps}/mask=0/final"], atol=1e-5)


def test_tables_of_palette():
    """Ours rescale a linear table to its number of steps; theirs do not."""
    np.testing.assert_allclose(linear(2000, 2e-6, 0.02).betas, PEER["palette_betas/linear/2000/betas"] * 1, rtol=1e-6)
    np.testing.assert_allclose(scaled_linear(100, 1e-6, 0.01).betas, PEER["palette_betas/quad/100/betas"], rtol=1e-6)
    for steps in (100, 2000):
        np.testing.assert_allclose(cosine(steps).betas, PEER[f"palette_betas/cosine/{steps}/betas"], rtol=1e-5)
    for name, table in {
        "warmup10/2000": warm_up(2000),
        "warmup50/100": warm_up(100, fraction=0.5),
        "const/2000": warm_up(2000, fraction=0.0),
        "jsd/2000": harmonic(2000),
    }.items():
        np.testing.assert_allclose(table.betas, PEER[f"palette_betas/{name}/betas"], rtol=1e-12)


def test_levels_between_steps():
    table = cosine(50)
    schedule = BetweenSteps(table)
    rows = torch.arange(51).double() / 50
    for ours, theirs in zip(schedule(rows), table(rows), strict=True):
        assert torch.equal(ours, theirs)  # at the steps it is the table, to the bit
    t = torch.linspace(0, 1, 997, dtype=torch.float64)
    alpha, sigma = schedule(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    assert (alpha.diff() < 0).all()
    # uniform times are uniform alpha_bar between two steps
    u = ImageNoise(0, torch.arange(20_000)).uniform("u")
    inside = (schedule.time(u) > 0.4) & (schedule.time(u) < 0.42)
    low, high = table(torch.tensor([0.42]).double()).alpha ** 2, table(torch.tensor([0.4]).double()).alpha ** 2
    place = (schedule(u[inside]).alpha ** 2 - low) / (high - low)
    assert place.mean().item() == pytest.approx(0.5, abs=0.05)
    assert place.std().item() == pytest.approx(12**-0.5, abs=0.03)


def test_the_bound_refuses_levels_between_steps():
    denoiser = Denoiser(TinyNetwork(), BetweenSteps(cosine(50)), Epsilon(), FixedSmall())
    with pytest.raises(ValueError, match="trains on noise levels between them"):
        VLB(Uniform()).check(denoiser)
    Simple(Uniform(), Unweighted()).check(denoiser)


SCHEDULE = VariancePreserving()
NUMBERS = {
    "alpha_bar": (told.AlphaBar(), lambda t, a, s: 1000 * a**2),
    "log_noise_level": (told.LogNoiseLevel(), lambda t, a, s: np.log(s / a) / 4),
    "log_snr": (told.LogSNR(bound=8.0), lambda t, a, s: np.clip(np.log(a**2 / s**2), -8, 8)),
    "noise_level": (told.NoiseLevel(2.0), lambda t, a, s: 2 * s / a),
    "schedule_time": (told.ScheduleTime(), lambda t, a, s: 999 * t),
    "time": (told.Time(), lambda t, a, s: 1000 * t),
}


@each("name", NUMBERS)
def test_every_number_whatever_the_parameterization(name):
    part, expected = NUMBERS[name]
    t = torch.tensor([0.01, 0.3, 1.0], dtype=torch.float64)
    alpha, sigma = (value.numpy() for value in SCHEDULE(t))
    for parameterization in (Epsilon(), EDM()):
        _, c = Denoiser(TinyNetwork(), SCHEDULE, parameterization, FixedSmall(), part).coefficients(t)
        np.testing.assert_allclose(c.c_noise, expected(t.numpy(), alpha, sigma), rtol=1e-12)
        _, plain = Denoiser(TinyNetwork(), SCHEDULE, parameterization, FixedSmall()).coefficients(t)
        assert all(torch.equal(one, other) for one, other in zip(c[:3], plain[:3], strict=True))
        assert torch.equal(plain.c_noise, parameterization(t, *SCHEDULE(t), SCHEDULE.network_time(t)).c_noise)
