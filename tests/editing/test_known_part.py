"""Inpainting and colorization against score_sde's numbers and the conditional distribution of a mixture."""

import numpy as np
import pytest
import torch
from recipes import rs_images
from score_sde import SCORE_SDE, SDES, Draws, Times, mixture_score

from difflab.data import GaussianMixture
from difflab.editing import CorrectedWithKnown, Gray, KnownPart, Masked, with_known
from difflab.guidance import ClassifierGuidance
from difflab.noise import ImageNoise
from difflab.process import over
from difflab.samplers import DDIM, DDPM, Heun, PredictorCorrector, Sampler, SamplerState
from difflab.samplers.correctors import AnnealedLangevinCorrector
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.samplers.predictors import ReverseDiffusion
from difflab.schedules import VariancePreserving, cosine, diffusion
from difflab.types import Condition, Label, Prediction
from difflab.variances import FixedLarge

VP = VariancePreserving()


class PeersSteps(Sampler):
    """Its reverse diffusion of the sub-VP process: Euler's steps of 1 / N, the last one with its noise."""

    def __init__(self, grid):
        self.grid = grid

    def steps(self, walk):
        times, width = walk.chain.times, 1 / len(walk.chain)

        def step(state, noise):
            t = torch.full((len(state.x),), state.t, dtype=torch.float64)
            drift, power = (over(value, state.x) for value in diffusion(walk.schedule, t))
            score = mixture_score(walk.schedule, state.image, t)
            z = noise.normal("step", tuple(state.x.shape[1:]))
            x = (1 - drift * width) * state.image + width * power * score + (width * power).sqrt() * z
            noise.k += 1  # for the known part of the time that was left, which it draws and loses
            return SamplerState(x, float(times[state.step - 1]), state.step - 1)

        return step


COLOURS = torch.tensor(
    [
        [5.7735014e-01, -8.1649649e-01, 4.7008697e-08],
        [5.7735026e-01, 4.0824834e-01, 7.0710671e-01],
        [5.7735026e-01, 4.0824822e-01, -7.0710683e-01],
    ],
    dtype=torch.float64,
)
"""By which the peer turns colours so that the first is sqrt(3) times their mean: as exact as single precision is."""


def turned(x, by=COLOURS):
    return torch.einsum("bi...,ij->bj...", x, by)


class Turned(KnownPart):
    """The first of the turned colours, which is the mean of the channels but for the last digits of the matrix."""

    def put(self, x, known):
        colours = torch.cat([turned(known)[:, :1], turned(x)[:, 1:]], 1)
        return turned(colours, torch.inverse(COLOURS))


class GrayDraws(Draws):
    """The peer's noise of the known part is drawn in turned colours."""

    def normal(self, purpose, shape, step=0):
        z = super().normal(purpose, shape, step)
        if purpose != "known":
            return z
        return turned(torch.cat([z[:, :1], 0 * z[:, 1:]], 1), torch.inverse(COLOURS))


@pytest.mark.parametrize(
    ("kind", "part", "close"),
    [
        ("inpaint", Masked(torch.from_numpy(np.random.RandomState(9501).rand(2, 1, 4, 4) < 0.5)), 1e-8),
        ("colorize", Turned(), 1e-9),
        ("colorize", Gray(), 5e-6),
    ],
    ids=["inpaint", "colorize, its matrix", "colorize"],
)
@pytest.mark.parametrize("steps", [40, pytest.param(50, marks=pytest.mark.slow)])
def test_the_unknown_part_is_the_peers(kind, part, close, steps):
    """Of a grey picture to 1e-9 with the peer's matrix, and to what that lacks of single precision with the mean of the channels.

    To begin with, the peer hides the first channel of the noise before it turns the colours, and not the first of the turned ones.
    """
    schedule, _ = SDES["subvp_1000"]
    known = torch.from_numpy(rs_images(9500, 2, 3, 4, 4)).double()
    noise = Draws(9510, 2) if kind == "inpaint" else GrayDraws(9520, 2)
    sampler = PeersSteps(Times(steps, 1e-5))
    x = noise.normal("x_T", (3, 4, 4))
    if kind == "colorize":
        x[:, 0] = 0
        known = known.mean(1, keepdim=True).expand_as(known)
    walk = sampler.walk(lambda x, t, cond: Prediction(x), schedule, x, Condition())
    step, state = with_known(sampler.steps(walk), walk, known, part), walk.start(x)
    while state.t > 0:
        state = step(state, noise)
    found, wanted = (
        part.put(image, 0 * known)
        for image in (state.image, torch.from_numpy(SCORE_SDE[f"{kind}/subvp/N{steps}/final"]))
    )
    np.testing.assert_allclose(found, wanted, rtol=close, atol=close)


# the left half says which component it is, but for a share of doubt, and the right half differs with it
MEANS = (
    torch.tensor([[0.4, 0.4, 0.8, 0.8], [-0.4, -0.4, -0.8, 0.8], [0.4, 0.4, -0.8, -0.8]]).reshape(3, 1, 2, 2).double()
)
MIXTURE = GaussianMixture(MEANS.transpose(2, 3).contiguous(), [0.5, 0.2, 0.3], 0.2)
KEEP = torch.tensor([[True, False], [True, False]])


def inpainted(sampler, known, count, schedule=VP, seed=0, wrap=True):
    noise = ImageNoise(seed, torch.arange(count))
    known = known.expand(count, 1, 2, 2)
    x = sampler.initial_noise(schedule, (1, 2, 2), noise)
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, x, Condition())
    step, state = with_known(sampler.steps(walk), walk, known, Masked(KEEP)), walk.start(x)
    while state.t > 0:
        state = step(state, noise)
    return state.image


def conditional(known):
    """Shares of the components given the left half, and the mean of the right half."""
    left = (known - MIXTURE.means)[..., 0].flatten(1)
    weights = (MIXTURE.weights.log() - left.square().sum(1) / 2 / 0.2**2).softmax(0)
    return weights, weights @ MIXTURE.means[:, 0, :, 1]


def test_the_rest_is_distributed_as_it_is_given_the_known_half():
    """Nearly: 3.5 % are of a component that the known half rules out, and 1.7 % where Langevin steps correct the rest."""
    known, count = torch.tensor([[[[0.45, 0.0], [0.3, 0.0]]]], dtype=torch.float64), 600
    weights, mean = conditional(known)
    corrector = CorrectedWithKnown(AnnealedLangevinCorrector(0.3, 2), known, Masked(KEEP))
    impossible = {}
    for name, sampler, tolerance in [
        ("plain", DDPM(UniformGrid(60), FixedLarge()), 0.2),
        ("corrected", PredictorCorrector(UniformGrid(60), ReverseDiffusion, corrector), 0.1),
    ]:
        images = inpainted(sampler, known, count)
        assert torch.equal(images[..., 0], known[..., 0].expand(count, 1, 2))
        right = images[:, 0, :, 1]
        nearest = (right[:, None] - MIXTURE.means[:, 0, :, 1]).square().sum(2).argmin(1)
        shares = torch.bincount(nearest, minlength=3).double() / count
        torch.testing.assert_close(shares, weights, rtol=0, atol=tolerance / 2)
        torch.testing.assert_close(right.mean(0), mean, rtol=0, atol=tolerance)
        assert (right - MIXTURE.means[nearest, 0, :, 1]).std().item() == pytest.approx(0.2, rel=tolerance)
        impossible[name] = shares[1].item()
    assert impossible["corrected"] < 0.7 * impossible["plain"]


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [
        (DDIM(UniformGrid(10)), cosine(100)),
        (Heun(KarrasGrid(10, 0.02, 100.0)), VP),
        (PredictorCorrector(UniformGrid(10), ReverseDiffusion, AnnealedLangevinCorrector(0.1)), VP),
    ],
)
def test_it_goes_around_any_sampler(sampler, schedule):
    known = torch.tensor([[[[0.4, 0.0], [0.35, 0.0]]]]).double()
    images = inpainted(sampler, known, 4, schedule)
    assert torch.equal(images[..., 0], known[..., 0].expand(4, 1, 2))
    assert (images[..., 1] != 0).all()
    assert torch.equal(inpainted(sampler, known, 2, schedule)[1], images[1])


def test_colours_have_the_grey_that_was_given():
    mixture = GaussianMixture.random(3, (3, 2, 2), spread=0.5, std=0.2, seed=1)
    noise, sampler = ImageNoise(0, torch.arange(8)), DDIM(UniformGrid(20))
    gray = torch.rand(8, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).expand(8, 3, 2, 2)
    x = sampler.initial_noise(VP, (3, 2, 2), noise)
    walk = sampler.walk(mixture.denoiser(VP), VP, x, Condition())
    step, state = with_known(sampler.steps(walk), walk, gray, Gray()), walk.start(x)
    while state.t > 0:
        state = step(state, noise)
    torch.testing.assert_close(state.image.mean(1), gray[:, 0], rtol=0, atol=1e-12)
    assert state.image.std(1).min() > 0.01


def test_a_mask_is_of_bool():
    with pytest.raises(ValueError, match="is of bool, not of"):
        Masked(torch.ones(2, 2))


def test_a_classifier_controls_the_class_of_every_sampler():
    """Appendix I.1: the classifier's gradient is added to the score, which guidance does; the corrector hears of it, too."""

    def classify(x, t, /):
        alpha, sigma = VP(t)
        every = [MIXTURE.log_prob(x, alpha, sigma, torch.full((len(x),), k)) for k in range(3)]
        return torch.stack(every, 1) + MIXTURE.weights.log()

    denoise = ClassifierGuidance(classify, VP, scale=2.0)(MIXTURE.denoiser(VP))
    sampler, noise = (
        PredictorCorrector(UniformGrid(50), ReverseDiffusion, AnnealedLangevinCorrector(0.1)),
        ImageNoise(0, torch.arange(60)),
    )
    x = sampler.initial_noise(VP, (1, 2, 2), noise)
    label = torch.arange(60) % 3
    images = sampler(denoise, VP, x, Condition(label=Label(label)), noise)
    nearest = (images[:, None] - MIXTURE.means).flatten(2).square().sum(2).argmin(1)
    assert (nearest == label).double().mean() > 0.95
