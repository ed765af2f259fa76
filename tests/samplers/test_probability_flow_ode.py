"""The probability-flow equation by a black-box solver against score_sde's numbers and itself."""

import numpy as np
import pytest
import torch
from feeds import FakeNetwork
from recipes import gmm_denoise
from score_sde import SCORE_SDE

from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.parameterizations import Epsilon
from difflab.process import over
from difflab.samplers import DDIM, Heun, ProbabilityFlow, draw
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.schedules import (
    EDM,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    cosine,
    linear,
    noise_level,
    zero_terminal_snr,
)
from difflab.types import Condition, Prediction
from difflab.variances import FixedSmall

PEERS = {
    "ve50": (VarianceExploding(0.01, 50.0), 1e-5, 50.0),
    "vp": (VariancePreserving(), 1e-3, 1.0),
    "subvp": (SubVariancePreserving(), 1e-3, 1.0),
}
NOISE = ImageNoise(0, torch.arange(2))


@pytest.mark.parametrize("name", [name for name in SCORE_SDE.files if name.startswith("ode/")])
def test_samples_are_the_peers(name):
    """Before the last step both are the solution to 1e-5; at its time eps the peer then takes a step of its predictor.

    Where variance is preserved that leaves a little of the last noise: its beta is 1e-4, and sigma^2 is 1.1e-4.
    """
    _, sde, seed, denoised, _ = name.split("/")
    schedule, eps, scale = PEERS[sde]
    asked = []

    def denoise(x, t, cond, /):
        asked.append(x)
        alpha, sigma = (over(value, x) for value in schedule(t))
        return Prediction(gmm_denoise(x.double() / alpha, (sigma / alpha).flatten()).to(x))

    level = float(noise_level(schedule, torch.tensor([eps], dtype=torch.float64)))
    x_T = scale * torch.from_numpy(np.random.RandomState(int(seed[1:])).randn(2, 3, 4, 4)).float()
    image = ProbabilityFlow(begin=level)(denoise, schedule, x_T, Condition(), NOISE)
    if denoised == "denoise=0":
        np.testing.assert_allclose(asked[-1], SCORE_SDE[name], rtol=0, atol=1e-4)
    else:
        np.testing.assert_allclose(image, SCORE_SDE[name], rtol=0, atol=2e-4)


MIXTURE = GaussianMixture.random(3, (1, 2, 2), spread=0.5, std=0.2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [EDM(), VariancePreserving(), SubVariancePreserving()])
def test_it_is_what_many_steps_of_heun_come_to(schedule):
    x_T = ProbabilityFlow().initial_noise(schedule, MIXTURE.shape, NOISE)
    exact = Heun(KarrasGrid(200, 0.002, 1e3))(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)
    image = ProbabilityFlow(1e-6, begin=0.002)(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)
    torch.testing.assert_close(image, exact, rtol=0, atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [cosine(1000), zero_terminal_snr(linear(1000))], ids=["table", "no signal"])
def test_tables_will_do(schedule):
    x_T = ProbabilityFlow().initial_noise(schedule, MIXTURE.shape, NOISE)
    exact = DDIM(UniformGrid(500))(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)
    image = ProbabilityFlow(1e-3)(MIXTURE.denoiser(schedule), schedule, x_T, Condition(), NOISE)
    torch.testing.assert_close(image, exact, rtol=0, atol=0.02)


def test_an_image_does_not_depend_on_those_beside_it():
    """Another adaptive solver would choose the steps of a batch by its worst image."""
    schedule = VariancePreserving()
    denoise = MIXTURE.denoiser(schedule)
    images = draw(denoise, schedule, ProbabilityFlow(1e-3), (1, 2, 2), torch.arange(4), Condition(), torch.float64)
    alone = draw(denoise, schedule, ProbabilityFlow(1e-3), (1, 2, 2), torch.arange(2, 3), Condition(), torch.float64)
    assert torch.equal(alone, images[2:3])


def test_a_walk_may_begin_anywhere():
    schedule, sampler = VariancePreserving(), ProbabilityFlow(1e-6)
    walk = sampler.walk(MIXTURE.denoiser(schedule), schedule, torch.ones(1, 1, 2, 2).double(), Condition(), begin=0.2)
    image = sampler.steps(walk)(walk.start(walk.like), NOISE).image
    heun = Heun(KarrasGrid(150, 0.001, 80.0))
    walk = heun.walk(MIXTURE.denoiser(schedule), schedule, walk.like, Condition(), begin=0.2)
    step, state = heun.steps(walk), walk.start(walk.like)
    while state.t > 0:
        state = step(state, NOISE)
    torch.testing.assert_close(image, state.image, rtol=0, atol=5e-4)


def test_what_is_not_finite_is_told_with_its_place():
    schedule = VariancePreserving()

    def denoise(x, t, cond, /):
        return Prediction(torch.where(over(t, x) < 0.5, torch.nan, x))

    with pytest.raises(ValueError, match=r"noise level [\d.]+ is not finite.*weights from before") as error:
        draw(denoise, schedule, ProbabilityFlow(1e-3), (1, 2, 2), torch.arange(2), Condition())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProbabilityFlow(tolerance=0.0), "tolerance=0.0 must be positive"),
        (lambda: ProbabilityFlow(method="euler"), "sampler.method=euler is none of RK45"),
        (lambda: ProbabilityFlow(begin=200.0).check(EDM()), "EDM has no noise levels between 200 and 80"),
    ],
)
def test_what_cannot_be_solved_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_of_single_precision():
    """The calls are in the images' type, with their condition."""
    denoiser = Denoiser(FakeNetwork(False), VariancePreserving(), Epsilon(), FixedSmall())
    sampler = ProbabilityFlow(1e-2)
    images = draw(denoiser, denoiser.schedule, sampler, (3, 4, 4), torch.arange(2), Condition())
    assert images.dtype == torch.float32
    assert images.isfinite().all()
