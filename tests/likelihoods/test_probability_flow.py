"""The likelihood of the probability flow against that of a mixture of Gaussians, which is known."""

import math

import numpy as np
import pytest
import torch
from recipes import gmm
from scipy.stats import norm
from score_sde import SCORE_SDE, SDES
from torch import nn

from difflab.data import GaussianMixture
from difflab.likelihoods import ProbabilityFlow, VariationalBound
from difflab.likelihoods.probability_flow import Gaussian, Probe, Rademacher
from difflab.noise import ImageNoise
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import (
    EDM,
    LinearPath,
    SubVariancePreserving,
    VariancePreserving,
    cosine,
    noise_level,
)
from difflab.types import Condition, Prediction

MIXTURE = GaussianMixture.random(3, (1, 2, 2), spread=0.4, std=0.2, seed=1)
NUMBERS = torch.arange(10)
NOISE = ImageNoise(0, NUMBERS)
DATA = MIXTURE.sample(NOISE, MIXTURE.sample_labels(NOISE))


class Exact(nn.Module):
    """What a likelihood is given: something with a schedule."""

    def __init__(self, schedule, mixture=MIXTURE):
        super().__init__()
        self.schedule, self.denoise = schedule, mixture.denoiser(schedule)

    def forward(self, x_t, t, cond):
        return Prediction(self.denoise(x_t.double(), t, cond).x0)


@torch.no_grad()
def bits(likelihood, schedule, x=DATA, numbers=NUMBERS, width=None, mixture=MIXTURE):
    model = Exact(schedule, mixture)
    times = likelihood.times(schedule, DDIM(UniformGrid(10)))
    assert times.tolist() == [0.0]
    found = likelihood(model, model, x, Condition(), ImageNoise(5, numbers), times, width)
    assert not tuple(found.steps)
    return found.prior


def exact_bits(x):
    one = torch.ones(len(x), dtype=torch.float64)
    return -MIXTURE.log_prob(x, one, 0 * one) / math.log(2) / x[0].numel()


@pytest.mark.parametrize(
    ("schedule", "probe"),
    [
        (VariancePreserving(), Rademacher()),
        (VariancePreserving(), Gaussian()),
        (EDM(), Rademacher()),
        (LinearPath(), Rademacher()),
        (cosine(1000), Rademacher()),
        (SubVariancePreserving(), Rademacher()),
    ],
    ids=["vp", "vp gaussian", "edm", "straight", "cosine", "sub-VP"],
)
def test_density_of_a_mixture(schedule, probe):
    """Within three standard errors and 0.02 bits; what is left of a probe's chance falls with their number."""
    gap = bits(ProbabilityFlow(probe, 4000 if isinstance(probe, Gaussian) else 200, 1e-3), schedule) - exact_bits(DATA)
    error = gap.std().item() / math.sqrt(len(gap))
    assert abs(gap.mean().item()) < 0.02
    assert abs(gap.mean().item()) < 3 * error + 0.002
    assert error < 0.03


def test_of_all_probes_rademacher_has_the_least_variance():
    schedule = VariancePreserving()
    spread = {
        probe: (bits(ProbabilityFlow(probe(), tolerance=1e-3), schedule) - exact_bits(DATA)).std().item()
        for probe in (Rademacher, Gaussian)
    }
    assert spread[Rademacher] < spread[Gaussian]


def test_pixels_are_dequantised():
    """8-bit images: in the mean no less than the bits of their levels, and near to them where a level is small beside the data."""
    x = (DATA.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
    low = np.where(x < -0.999, -np.inf, x - 1 / 255)[:, None]
    high = np.where(x > 0.999, np.inf, x + 1 / 255)[:, None]
    level = norm.cdf((high - MIXTURE.means.numpy()) / 0.2) - norm.cdf((low - MIXTURE.means.numpy()) / 0.2)
    truth = -np.log2((MIXTURE.weights.numpy() * level.prod((2, 3, 4))).sum(1)) / 4
    found = bits(ProbabilityFlow(Rademacher(), probes=200, tolerance=1e-3), VariancePreserving(), x, width=2 / 255)
    gap = found.numpy() - truth
    inside = (abs(x.numpy()) < 0.999).all((1, 2, 3))
    assert gap[inside].mean() == pytest.approx(0, abs=0.04)


def test_an_image_has_its_likelihood_in_any_batch():
    likelihood = ProbabilityFlow(Gaussian(), probes=2, tolerance=1e-3)
    whole = bits(likelihood, VariancePreserving())[3:6]
    assert torch.equal(bits(likelihood, VariancePreserving(), DATA[3:6], NUMBERS[3:6]), whole)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProbabilityFlow(Rademacher(), probes=0), "probes=0 must be at least 1"),
        (lambda: ProbabilityFlow(Rademacher(), method="euler"), "likelihood.method=euler is none of RK45"),
        (
            lambda: VariationalBound()(None, MIXTURE.denoiser(EDM()), DATA, Condition(), NOISE, torch.zeros(1), None),
            "these data are no pixels",
        ),
    ],
)
def test_what_has_no_likelihood_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


PEERS_MIXTURE = GaussianMixture(*map(torch.from_numpy, gmm()[:2]), gmm()[2])
PEERS_BITS = {9410: [8.16564, 8.11171, 8.30107], 9411: [7.96575, 8.08107, 8.15413]}
"""Exact, plus the 8 that the peer adds for its pixels."""


class PeersProbe(Probe):
    """The peer's first draw."""

    def __init__(self, make, seed):
        self.make, self.seed = make, seed

    def __call__(self, noise, shape, number):
        return torch.from_numpy(self.make(np.random.RandomState(self.seed)))[noise.number]


@pytest.mark.parametrize(
    "name",
    [
        name if "vp/Rademacher" in name else pytest.param(name, marks=pytest.mark.slow)
        for name in SCORE_SDE.files
        if name.startswith("likelihood/") and name.endswith("bpd")
    ],
)
def test_likelihoods_are_the_peers(name):
    """Of single probes, the same ones; its times end at 1e-5, and it solves in single precision."""
    _, sde, kind, seed, _ = name.split("/")
    schedule = {"ve50": SDES["ve_50_1000"], "vp": SDES["vp_1000"], "subvp": SDES["subvp_1000"]}[sde][0]
    shape = (3, 3, 4, 4)
    probe = PeersProbe(
        (lambda r: 2.0 * r.randint(0, 2, size=shape) - 1) if kind == "Rademacher" else (lambda r: r.randn(*shape)),
        int(seed[1:]) + 100,
    )
    x = gmm()[0][:3] + 0.25 * np.random.RandomState(int(seed[1:])).randn(*shape)
    level = float(noise_level(schedule, torch.tensor([1e-5], dtype=torch.float64)))
    likelihood = ProbabilityFlow(probe, begin=level)
    found = bits(likelihood, schedule, torch.from_numpy(x).float(), torch.arange(3), mixture=PEERS_MIXTURE)
    np.testing.assert_allclose(found + 8, SCORE_SDE[name], rtol=0, atol=5e-3)
    exact = -PEERS_MIXTURE.log_prob(torch.from_numpy(x), torch.ones(3).double(), torch.zeros(3).double())
    np.testing.assert_allclose(exact / math.log(2) / 48 + 8, PEERS_BITS[int(seed[1:])], rtol=0, atol=1e-4)
