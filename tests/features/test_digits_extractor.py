"""What the shipped digits classifier measures, on the real digits. The docstring of digits.py states these numbers."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from difflab.features import DigitsExtractor
from difflab.features.packaged import WEIGHTS, is_held_out
from difflab.metrics import Gaussian, Inception, Moments, frechet_distance

DIGITS: Any = load_digits()
IMAGES = (torch.from_numpy(DIGITS.images) * 255 / 16).round().to(torch.uint8)[:, None]
LABELS = torch.from_numpy(DIGITS.target)
INDEX = torch.arange(len(IMAGES))
EXTRACTOR = DigitsExtractor()


def gaussian_of(images: torch.Tensor) -> Gaussian:
    moments = Moments(64)
    moments.update(EXTRACTOR(images).features)
    return moments.gaussian()


def fd(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(gaussian_of(a), gaussian_of(b)).distance


def noisy(sigma: float) -> torch.Tensor:
    noise = torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(0))
    return (IMAGES + sigma * noise).round().clamp(0, 255).to(torch.uint8)


def test_accuracy_on_images_that_were_held_out():
    right = EXTRACTOR(IMAGES).logits.argmax(dim=1) == LABELS
    held_out = is_held_out(INDEX)
    assert int(held_out.sum()) == 359
    assert int((~right[held_out]).sum()) <= 4  # 98.9 %
    assert int((~right[~held_out]).sum()) == 0


def test_score_of_real_digits_is_near_ten_and_of_noise_near_one():
    def score(images: torch.Tensor) -> float:
        metric = Inception(splits=1).prepare(EXTRACTOR.identity, len(images))
        metric.update(EXTRACTOR(images), torch.arange(len(images)))
        return metric.compute()["is_digits"].item()

    assert score(IMAGES) == pytest.approx(9.81, abs=0.02)
    assert score(torch.full_like(IMAGES, 128)) == pytest.approx(1, abs=1e-3)


def test_distance_rises_with_noise():
    distances = [fd(IMAGES, noisy(sigma)) for sigma in (0, 2, 4, 8, 16, 32, 64, 128)]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert all(later > 2 * earlier for earlier, later in pairwise(distances[1:]))
    assert distances[-1] == pytest.approx(244, rel=0.05)


def test_distance_sees_what_goes_wrong_with_samples():
    floor = fd(IMAGES[::2], IMAGES[1::2])
    assert floor == pytest.approx(14.35, rel=0.02)
    without_threes = fd(IMAGES, IMAGES[LABELS != 3])
    upside_down = fd(IMAGES, IMAGES.flip(2))
    assert without_threes > 2 * floor
    assert upside_down > 10 * floor
    assert fd(IMAGES, torch.full_like(IMAGES, 128)[:900]) > 50 * floor


def test_spatial_distance_sees_where_things_are():
    def sfd(a: torch.Tensor, b: torch.Tensor) -> float:
        gaussians = []
        for images in (a, b):
            moments = Moments(512)
            moments.update(EXTRACTOR(images).spatial)
            gaussians.append(moments.gaussian())
        return frechet_distance(*gaussians).distance

    assert sfd(IMAGES[::2], IMAGES[1::2]) == pytest.approx(36.2, rel=0.02)
    assert sfd(IMAGES, noisy(16)) == pytest.approx(6.0, rel=0.05)
    moved = IMAGES.roll(1, dims=-1)
    assert sfd(IMAGES, moved) == pytest.approx(784, rel=0.02)
    assert sfd(IMAGES, moved) > 2 * fd(IMAGES, moved)


def test_weights_are_small():
    assert WEIGHTS.stat().st_size < 200_000
