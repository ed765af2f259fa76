"""What is said of a model, against models of which everything is known; and the command on a run of a few steps."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm

from difflab.data import ArrayPoints, EveryNth, GaussianMixture, MixtureImages
from difflab.explaining import drawing
from difflab.explaining.attention_maps import brightest
from difflab.explaining.drawing import rows_of_images
from difflab.explaining.exact import empirical, exact_denoiser
from difflab.explaining.field import scores
from difflab.explaining.forward_reverse_drift import drift, forward_clouds, reverse_clouds
from difflab.explaining.interpolation import arc
from difflab.explaining.memorisation import nearest, share_below
from difflab.explaining.round_trip import round_trip
from difflab.explaining.score_error import relative_errors
from difflab.explaining.shared_prefix import parted
from difflab.noise import ImageNoise
from difflab.process import slerp
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, VarianceExploding, cosine, linear
from difflab.types import Condition, Label, Prediction
from difflab.variances import FixedSmall

GAUSSIAN = GaussianMixture(torch.full((1, 1, 3, 3), 0.2), [1.0], std=0.3)
MIXTURE = GaussianMixture([[-1.0, 0.5], [1.0, 0.0], [0.0, -1.0]], [0.5, 0.3, 0.2], std=0.2)


def normal(n: int, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return ImageNoise(seed, torch.arange(n)).normal("test", shape)


def test_the_arc_has_its_ends_and_the_length_of_what_it_joins():
    a, b = normal(5, (3, 8, 8)), normal(5, (3, 8, 8), 1)
    found = arc(a, b, 9)
    torch.testing.assert_close(found[:, 0], a)
    torch.testing.assert_close(found[:, -1], b)
    torch.testing.assert_close(found[:, 4] * math.sqrt(2 * (1 + _cosine(a, b)[0])), a + b, rtol=0.02, atol=0.02)
    lengths = found.flatten(2).norm(dim=2)
    assert (lengths.min(1).values > 0.97 * torch.minimum(lengths[:, 0], lengths[:, -1])).all()
    angles = [_cosine(found[:, i], found[:, i + 1]).arccos() for i in range(8)]
    torch.testing.assert_close(torch.stack(angles[1:]), torch.stack(angles[:-1]), rtol=0.05, atol=0)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    assert slerp(a, -a, 0.5).isfinite().all()


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))


def test_what_is_encoded_comes_back_the_better_the_more_steps_there_are():
    """DDIM is Euler's method, of first order: the squared error of a Gaussian's exact denoiser falls with the square of the steps."""
    schedule, x_0 = linear(1000), 0.2 + 0.3 * normal(32, (1, 3, 3))
    denoise = GAUSSIAN.denoiser(schedule)
    errors = [
        round_trip(DDIM(UniformGrid(steps)), denoise, schedule, x_0, Condition()).mean().item()
        for steps in (25, 50, 100, 200)
    ]
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(2.5 < ratio < 6 for ratio in ratios), ratios
    assert errors[-1] < 1e-3


def test_chains_are_one_until_they_part():
    schedule, shape = cosine(60), (1, 3, 3)
    sampler, denoise = DDPM(UniformGrid(30), FixedSmall()), GAUSSIAN.denoiser(schedule)
    seed = torch.tensor([5])
    x_T = sampler.initial_noise(schedule, shape, ImageNoise(0, seed))
    steps = list(sampler.trajectory(denoise, schedule, x_T, Condition(), ImageNoise(0, seed)))
    spread = []
    for t in (1.0, 0.5, 0.2):
        reached, x_t, images = parted(sampler, denoise, schedule, x_T, (Condition(), Condition()), seed, t, 6)
        assert reached == max(time for time in sampler.chain(schedule).times.tolist() if time <= t + 1e-9)
        (along,) = [x_T] if reached == 1.0 else [before.x_s for before, after in pairwise(steps) if after.t == reached]
        assert torch.equal(x_t, along)
        assert len({tuple(image.flatten().tolist()) for image in images}) == 6
        spread.append(images.std(0).mean().item())
    assert spread[2] < 0.75 * spread[0]
    # parted at x_t, x_0 has at most the deviation that the exact posterior leaves to it; six steps of the smaller variance have less
    alpha, sigma = (float(level) for level in schedule(torch.tensor([0.2], dtype=torch.float64)))
    left = 0.3 * sigma / math.sqrt((alpha * 0.3) ** 2 + sigma**2)
    *_, many = parted(sampler, denoise, schedule, x_T, (Condition(), Condition()), seed, 0.2, 400)
    assert 0.5 * left < many.std(0).mean().item() < 1.05 * left


def test_an_image_is_its_own_nearest_and_another_one_is_found_without_it():
    known = normal(500, (40,)).float()
    distances, which = nearest(known[20:30], known, 2)
    assert (distances[:, 0] == 0).all()
    assert which[:, 0].tolist() == list(range(20, 30))
    full = torch.cdist(known.double(), known.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distances[:, 1], full[20:30].sort(1).values[:, 1])
    index = torch.arange(0, 500, 5)
    others, of = nearest(known[index], known, 1, index)
    full[torch.arange(500), torch.arange(500)] = torch.inf
    torch.testing.assert_close(others[:, 0], full[index].min(1).values)
    assert (of[:, 0] != index).all()


def test_copies_are_near_and_new_draws_are_as_near_as_what_was_held_out():
    training, held_out, new = (normal(n, (6,), seed).float() for n, seed in ((2000, 1), (2000, 2), (1500, 3)))
    others = nearest(held_out, training, 1)[0][:, 0]
    fresh = share_below(nearest(new, training, 1)[0][:, 0], others)
    assert fresh.expected[0] <= fresh.value <= fresh.expected[1]
    assert fresh.expected[0] < 0.01 < fresh.expected[1] < 0.02
    copied = torch.cat([training[:150], new[150:]])
    share = share_below(nearest(copied, training, 1)[0][:, 0], others)
    assert share.value == pytest.approx(0.1 + 0.9 * fresh.value, abs=0.005)
    assert share.low > share.expected[1]
    z = norm.ppf(0.975)
    centre = (share.count + z**2 / 2) / (share.of + z**2)
    assert (share.low + share.high) / 2 == pytest.approx(centre)


def test_the_exact_field_is_the_gradient_of_the_log_density():
    schedule = cosine(1000)
    data = MixtureImages(MIXTURE, 100)
    assert EveryNth(data, 4).distribution is MIXTURE
    assert ArrayPoints(torch.zeros(3, 2)).distribution is None
    exact = exact_denoiser(EveryNth(data, 4), schedule)
    for t in (0.1, 0.5, 0.9):
        places = normal(20, (2,)).requires_grad_()
        alpha, sigma = schedule(torch.full((20,), t, dtype=torch.float64))
        for cond, labels in (
            (Condition(), None),
            (Condition(label=Label(torch.tensor([1]))), torch.ones(20, dtype=torch.int64)),
        ):
            (slope,) = torch.autograd.grad(MIXTURE.log_prob(places, alpha, sigma, labels).sum(), places)
            found = scores(exact.denoise, schedule, places.detach(), t, cond)
            torch.testing.assert_close(found, slope, rtol=1e-6, atol=1e-8)


def test_the_field_of_points_is_that_of_a_mixture_of_very_narrow_gaussians():
    schedule, points = cosine(1000), normal(50, (2,))
    labels = torch.arange(50) % 2
    cloud = empirical(points, labels, schedule)
    for cond, chosen in (
        (Condition(), points),
        (Condition(label=Label(torch.zeros(300, dtype=torch.int64))), points[0::2]),
    ):
        narrow = GaussianMixture(chosen, torch.ones(len(chosen)), std=1e-6).denoiser(schedule)
        for t in (0.1, 0.5):
            time = torch.full((300,), t, dtype=torch.float64)
            x_t = normal(300, (2,), 7)
            torch.testing.assert_close(
                cloud(x_t, time, cond).x0, narrow(x_t, time, Condition()).x0, rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("schedule", [cosine(1000), VarianceExploding(0.01, 5.0)], ids=["cosine", "VE"])
def test_the_drift_of_an_exact_denoiser_is_tweedies_formula(schedule):
    """(x_t + var_ts score) / alpha_ts - x_t, the score by automatic differentiation of the mixture's density."""
    chain = Chain(schedule, UniformGrid(20)(schedule))
    for step in (1, 10, 20):
        places = normal(40, (2,)).requires_grad_()
        alpha, sigma = chain[torch.full((40,), step)]
        (score,) = torch.autograd.grad(MIXTURE.log_prob(places, alpha, sigma).sum(), places)
        x_t = places.detach()
        alpha_s, sigma_s = (float(level) for level in chain[step - 1])
        ratio = float(alpha[0]) / alpha_s
        variance = float(sigma[0]) ** 2 - (ratio * sigma_s) ** 2
        found = drift(MIXTURE.denoiser(schedule), chain, step, x_t, Condition())
        torch.testing.assert_close(found, (x_t + variance * score) / ratio - x_t, rtol=1e-8, atol=1e-9)


def test_forward_and_reverse_clouds_have_the_moments_of_the_process():
    """x_t of the mixture has the mean alpha m and the covariance alpha^2 C + sigma^2 I, on the way up and on the way down."""
    count, schedule = 2000, cosine(1000)
    noise = ImageNoise(3, torch.arange(count))
    mean, covariance = MIXTURE.moments()
    sampler = DDPM(UniformGrid(100), FixedSmall())
    chain, steps = sampler.chain(schedule), [0, 50, 100]
    x_0 = MIXTURE.sample(noise, MIXTURE.sample_labels(noise))
    x_T = sampler.initial_noise(schedule, (2,), noise)
    reverse = reverse_clouds(sampler, MIXTURE.denoiser(schedule), schedule, x_T, Condition(), noise)
    assert len(reverse) == 101
    assert torch.equal(reverse[100], x_T)
    forward = forward_clouds(chain, x_0, steps)
    assert torch.equal(forward[0], x_0)
    for step, *clouds in zip(steps, forward, reverse[steps], strict=True):
        alpha, sigma = (float(level) for level in chain[step])
        wanted = alpha**2 * covariance + sigma**2 * torch.eye(2, dtype=torch.float64)
        for cloud in clouds:
            error = 4 * (wanted.diagonal() / count).sqrt()  # four standard errors
            assert ((cloud.mean(0) - alpha * mean).abs() < error).all()
            # a covariance of normal points has the variance (v_i v_j + v_ij^2) / n
            of_covariance = 4 * ((wanted.diagonal().outer(wanted.diagonal()) + wanted**2) / count).sqrt()
            assert ((cloud.T.cov() - wanted).abs() < of_covariance).all()


def test_the_error_of_a_score_is_none_for_the_exact_one_and_known_for_one_that_is_off():
    schedule, x_0 = cosine(1000), 0.2 + 0.3 * normal(400, (1, 3, 3))
    exact, times = GAUSSIAN.denoiser(schedule), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)

    def shifted(x_t, t, cond, /):
        return Prediction(exact(x_t, t, cond).x0 + 0.05)

    assert (relative_errors(exact, exact, schedule, x_0, Condition(), times) == 0).all()
    found = relative_errors(shifted, exact, schedule, x_0, Condition(), times)
    alpha, sigma = schedule(times)
    # the score of a Gaussian of variance v has the mean square 1 / v, and alpha 0.05 / sigma^2 is what it is off by
    known = (0.05 * alpha / sigma**2) ** 2 * (alpha**2 * 0.09 + sigma**2)
    torch.testing.assert_close(found, known, rtol=0.05, atol=0)


def test_the_brightest_place_and_rows_of_pictures():
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[0, 6:, 2:4] = 255
    assert brightest(image, (4, 4)) == (3, 1)
    assert brightest(255 - image, (8, 8)) in {(6, 2), (6, 3), (7, 2), (7, 3)}
    assert rows_of_images([[image, None]], ["a", ""], ["b"]) == rows_of_images([[image, None]], ["a", ""], ["b"])


def test_words_beside_low_images_have_rows_of_their_own():
    """A heartbeat is one pixel high, and a word is not."""
    image = torch.zeros(1, 1, 20, dtype=torch.uint8)

    def inked(words: list[str]) -> np.ndarray:
        with Image.open(io.BytesIO(rows_of_images([[image]] * len(words), [""], words))) as picture:
            return (np.asarray(picture)[:, : drawing.LEFT] < 250).any((1, 2))

    first, second, both = (inked(words) for words in (["sample", " "], [" ", "nearest"], ["sample", "nearest"]))
    assert first.any()
    assert second.any()
    assert not (first & second).any()
    assert np.array_equal(first | second, both)
