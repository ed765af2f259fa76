"""Reverse steps times a likelihood, against conditional distributions that are known: of a mixture, and of heartbeats."""

import math

import pytest
import torch

from difflab.binary_denoiser import BinaryDenoiser
from difflab.data import Heartbeat
from difflab.data.mixture import GaussianMixture
from difflab.editing.likelihood_product import multiplied, multiplied_bits, of_known_bits
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.parameterizations import X0
from difflab.samplers import DDPM, BinomialAncestral
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine, harmonic
from difflab.types import Condition
from difflab.variances import FixedSmall

MIXTURE = GaussianMixture([[-1.0, -0.5], [1.0, 0.5]], [1, 3], 0.3)
SEEN, STD = -0.6, 0.5
"""r is the likelihood of having measured the first coordinate as SEEN, with normal errors of STD."""


@pytest.mark.slow
def test_the_conditional_of_a_mixture():
    """r_t = E[r | x_t], a sum over components; the conditional is a mixture of the same two, with other weights and means."""
    schedule, count = cosine(200), 3000

    def log_r(x, t):
        if t == 0:
            return -0.5 * ((x[:, 0] - SEEN) / STD) ** 2
        alpha, sigma = (value.item() for value in schedule(torch.tensor([t]).double()))
        power = alpha**2 * 0.09 + sigma**2
        log_w = -((x[:, None] - alpha * MIXTURE.means.to(x)) ** 2).sum(-1) / (2 * power) + MIXTURE.weights.log().to(x)
        first = MIXTURE.means[:, 0].to(x)
        mean = first + alpha * 0.09 / power * (x[:, :1] - alpha * first)
        var = 0.09 * sigma**2 / power + STD**2
        return (log_w.log_softmax(1) - (mean - SEEN) ** 2 / (2 * var)).logsumexp(1)

    noise = ImageNoise(0, torch.arange(count))
    x_T = noise.normal("x_T", (2,))
    sampler = DDPM(UniformGrid(200), FixedSmall())
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, x_T, Condition())

    def end(step):
        state = walk.start(x_T)
        while state.t > 0:
            state = step(state, noise)
        return state.image

    found = end(multiplied(walk, FixedSmall(), log_r))
    evidence = torch.tensor([1.0, 3.0]) * torch.exp(-((torch.tensor([-1.0, 1.0]) - SEEN) ** 2) / (2 * (0.09 + STD**2)))
    share = (evidence[0] / evidence.sum()).item()
    gain = 0.09 / (0.09 + STD**2)
    left = found[:, 0] < 0
    assert left.double().mean().item() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count) + 0.02)
    assert found[left, 0].mean().item() == pytest.approx(-1 + gain * (SEEN + 1), abs=0.04)
    assert found[left, 0].std().item() == pytest.approx(0.3 * math.sqrt(1 - gain), abs=0.04)
    assert found[left, 1].mean().item() == pytest.approx(-0.5, abs=0.04)
    nothing = multiplied(walk, FixedSmall(), lambda x, t: torch.zeros(len(x)))
    torch.testing.assert_close(end(nothing), end(sampler.steps(walk)))


STEPS = 50
SCHEDULE = harmonic(STEPS)
PATTERNS = Heartbeat(copies=1).images(range(5)).flatten(1).double() / 127.5 - 1


class Knowing(Network):
    """For heartbeats: the log-odds of each bit, given all the others of x_t."""

    in_channels, out_channels, image_size = 1, 1, (1, 20)

    def forward(self, x, time, cond):
        a = SCHEDULE((time + 1) / STEPS).alpha[:, None, None] ** 2
        each = torch.log1p(a * x.flatten(1).double()[:, None] * PATTERNS)
        of_others = each.sum(-1, keepdim=True) - each
        above, below = (torch.where(sign * PATTERNS > 0, of_others, -torch.inf).logsumexp(1) for sign in (1, -1))
        return (above - below).to(x).reshape_as(x)


@pytest.mark.parametrize(("where", "phases"), [([2, 3, 4, 6], [1]), ([7, 8, 9], [0, 1]), ([2], [0, 1, 3, 4])])
def test_bits_that_are_given_determine_the_phase(where, phases):
    """As far as they do: all phases that have the bits are drawn alike, and no other."""
    count = 800
    model = BinaryDenoiser(Knowing(), SCHEDULE, X0())
    keep = torch.zeros(1, 1, 20, dtype=torch.bool)
    keep[..., where] = True
    known = PATTERNS[1].reshape(1, 1, 1, 20).expand(count, -1, -1, -1)
    noise = ImageNoise(0, torch.arange(count))
    sampler = BinomialAncestral(UniformGrid(STEPS))
    x_T = sampler.initial_noise(SCHEDULE, (1, 1, 20), noise).float()
    walk = sampler.walk(model, SCHEDULE, x_T, Condition())
    step, state = multiplied_bits(walk, of_known_bits(known, keep, model, Condition())), walk.start(x_T)
    with torch.no_grad():
        while state.t > 0:
            state = step(state, noise)
    bits = state.image.flatten(1)
    assert torch.equal(bits[:, where], known.flatten(1)[:, where].float())
    shares = (bits.double()[:, None] == PATTERNS).all(-1).double().mean(0)
    print(shares)
    assert shares[phases].sum() > 0.9
    assert (shares[phases] - 1 / len(phases)).abs().max() < 0.1
    unbound, state = multiplied_bits(walk, lambda x, t: torch.zeros(())), walk.start(x_T)
    with torch.no_grad():
        state = unbound(state, noise)
        assert torch.equal(state.image, sampler.steps(walk)(walk.start(x_T), noise).image)
