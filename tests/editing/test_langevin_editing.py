"""Interpolation and inpainting by Langevin dynamics: numbers of the authors' code (ermongroup/ncsnv2), and a mixture's conditionals."""

import numpy as np
import pytest
import torch
from edm import GOLDEN
from recipes import gmm_denoise

from difflab.data import GaussianMixture
from difflab.editing import langevin_inpainted, langevin_interpolated
from difflab.noise import ImageNoise
from difflab.samplers import AnnealedLangevin, draw_from
from difflab.samplers.grids import UniformGrid
from difflab.schedules import GeometricLadder
from difflab.types import Condition, Prediction

PEER = np.load(GOLDEN / "ncsnv2.npz")
LADDERS = {"a": GeometricLadder(10, 0.01, 1.0), "b": GeometricLadder(25, 0.02, 30.0)}


def cases(kind):
    return sorted({name.split("/", 1)[1].rpartition("/")[0] for name in PEER.files if name.startswith(f"{kind}/")})


def sampler_of(case):
    schedule = LADDERS[case[0]]
    repeats, eps = (float(part.partition("=")[2]) for part in case.split("/")[1:])
    return schedule, AnnealedLangevin(
        UniformGrid(schedule.steps), int(repeats), eps / schedule.sigma_min**2, last_denoising=False
    )


def rand(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).rand(*shape))


class Draws:
    """The authors' draws, two for each step: this noise is the first or the second of them."""

    def __init__(self, seed, which, rows, shape, repeat=1):
        self.seed, self.k, self.rows, self.shape, self.repeat = seed + which, 0, rows, shape, repeat

    @property
    def number(self):
        return torch.arange(self.rows * self.repeat)

    def normal(self, purpose, shape, step=0):
        drawn = torch.from_numpy(np.random.RandomState(self.seed + self.k).randn(self.rows, *self.shape))
        self.k += 2
        return drawn.repeat_interleave(self.repeat, 0)

    def uniform(self, purpose, shape=(), step=0):
        return (rand(9822, 2, 3, 4, 4).repeat_interleave(self.repeat, 0) + 1) / 2  # which x_T = 2 u - 1 undoes

    def shared(self, divisor):
        return self


@pytest.mark.parametrize("case", cases("ald_interp"))
def test_interpolation_is_the_authors(case):
    schedule, sampler = sampler_of(case)

    def denoise(x, t, cond, /):
        return Prediction(gmm_denoise(x, schedule(t).sigma))

    a, b = (Draws(9823, which, 2, (3, 4, 4), repeat=4) for which in (0, 1))
    share = (torch.arange(4).double() / 3).repeat(2)
    images = langevin_interpolated(denoise, schedule, sampler, (3, 4, 4), a, b, share, Condition(), torch.float64)
    np.testing.assert_allclose(
        images, PEER[f"ald_interp/{case}/final"], rtol=1e-6, atol=1e-5
    )  # angles are float32 there


class KnownFirst(Draws):
    """The authors' draws of inpainting: noise of the known half, which is all that they draw of it, then that of the step."""

    def __init__(self, seed):
        super().__init__(seed, 0, 4, (3, 4, 2))
        self.of_step = Draws(seed, 1, 4, (3, 4, 4))

    def normal(self, purpose, shape, step=0):
        if purpose == "known":
            return torch.nn.functional.pad(super().normal(purpose, shape), (0, 2))
        return self.of_step.normal(purpose, shape)


@pytest.mark.parametrize("case", cases("ald_inpaint"))
def test_inpainting_is_the_authors(case):
    """What they list last is what the network is asked last."""
    schedule, sampler = sampler_of(case)
    asked = []

    def denoise(x, t, cond, /):
        asked.append(x)
        return Prediction(gmm_denoise(x, schedule(t).sigma))

    known = rand(9824, 2, 3, 4, 4).repeat_interleave(2, 0)
    mask = torch.tensor([True, True, False, False])
    x_T = rand(9825, 2, 2, 3, 4, 4).flatten(0, 1)
    images = langevin_inpainted(denoise, schedule, sampler, known, mask, Condition(), KnownFirst(9826), x_T)
    np.testing.assert_allclose(asked[-1], PEER[f"ald_inpaint/{case}/last_listed"], rtol=1e-7, atol=1e-9)
    assert torch.equal(images[..., :2], known[..., :2])


LADDER = GeometricLadder(30, 0.02, 6.0)
SAMPLER = AnnealedLangevin(UniformGrid(30), 4, 0.3)
MIXTURE = GaussianMixture([[-0.8, -0.8], [0.8, 0.8], [0.7, -0.6]], [1.0, 2.0, 3.0], 0.25)


@pytest.mark.parametrize("value", [-0.8, 0.75])
def test_what_is_filled_in_has_the_mixtures_conditional_distribution(value):
    """x_2 given x_1 is a mixture of the same means with weights pi_k N(x_1; mu_k, s^2)."""
    known = torch.tensor([[value, 0.0]], dtype=torch.float64).expand(800, 2)
    noise = ImageNoise(0, torch.arange(800))
    images = langevin_inpainted(
        MIXTURE.denoiser(LADDER), LADDER, SAMPLER, known, torch.tensor([True, False]), Condition(), noise
    )
    assert (images[:, 0] == value).all()
    logits = MIXTURE.weights.log() - (value - MIXTURE.means[:, 0]) ** 2 / (2 * MIXTURE.std**2)
    weights, means = logits.softmax(0), MIXTURE.means[:, 1]
    mean = weights @ means
    var = weights @ (means - mean) ** 2 + MIXTURE.std**2
    found = images[:, 1]
    assert found.mean().item() == pytest.approx(mean.item(), abs=0.1)
    assert found.std().item() == pytest.approx(var.sqrt().item(), abs=0.07)


def test_at_the_ends_of_an_interpolation_are_images_of_their_noises():
    a, b = (ImageNoise(0, torch.full((3,), seed)) for seed in (1, 2))
    share = torch.tensor([0.0, 0.5, 1.0])
    denoise = MIXTURE.denoiser(LADDER)
    images = langevin_interpolated(denoise, LADDER, SAMPLER, (2,), a, b, share, Condition(), torch.float64)
    alone = draw_from(ImageNoise(0, torch.tensor([1])), denoise, LADDER, SAMPLER, (2,), Condition(), torch.float64)
    torch.testing.assert_close(images[:1], alone)
    x_T = SAMPLER.initial_noise(LADDER, (2,), a)
    torch.testing.assert_close(images[2:], SAMPLER(denoise, LADDER, x_T, Condition(), b)[2:])


def test_a_mask_without_anything_to_do_is_refused():
    for mask in (torch.zeros(2).bool(), torch.ones(2).bool()):
        with pytest.raises(ValueError, match="inpainting keeps a part and fills in the rest"):
            langevin_inpainted(
                MIXTURE.denoiser(LADDER),
                LADDER,
                SAMPLER,
                torch.zeros(1, 2).double(),
                mask,
                Condition(),
                ImageNoise(0, torch.zeros(1).long()),
            )
