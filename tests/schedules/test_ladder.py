"""The ladder of NCSN, and the rules of NCSNv2 beside the ladders and step sizes that were published."""

import math

import pytest
import torch
from scipy.stats import norm

from difflab.schedules import Chain, GeometricLadder, noise_level, time_of
from difflab.schedules.ladder import largest_distance, level_count, level_ratio, recommended, step_size

LADDER = GeometricLadder(10, 0.02, 2.0)

PUBLISHED = {  # configs of ermongroup/ncsnv2: side, sigma_1, levels, T, eps; the last sigma is 0.01 throughout
    "cifar10": (32, 50, 232, 5, 6.2e-6),
    "celeba": (64, 90, 500, 5, 3.3e-6),
    "bedroom": (128, 190, 1086, 3, 1.8e-6),
    "ffhq": (256, 348, 2311, 3, 9e-7),
}


def test_levels_are_in_geometric_progression_from_clean_to_noisy():
    t = torch.arange(11).double() / 10
    alpha, sigma = LADDER(t)
    assert (alpha == 1).all()
    assert sigma[[0, 1, 10]].tolist() == pytest.approx([0.0, 0.02, 2.0], rel=1e-14)
    torch.testing.assert_close(sigma[2:] / sigma[1:-1], torch.full((9,), 100 ** (1 / 9)).double())
    assert Chain(LADDER, t).level.sigma.tolist() == sigma.tolist()
    assert LADDER.time(torch.tensor([0.0, 0.099, 0.1, 0.999]).double()).tolist() == [0.1, 0.1, 0.2, 1.0]


def test_between_levels_the_noise_rises_as_well():
    t = torch.linspace(0, 1, 2001).double()
    level = noise_level(LADDER, t)
    assert (level.diff() > 0).all()
    torch.testing.assert_close(time_of(LADDER, level), t, rtol=0, atol=2e-7)  # a time within 1e-6 of a row is the row


def test_technique_1_is_the_largest_of_all_distances():
    points = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    brute = max((a - b).norm().item() for a in points for b in points)
    assert largest_distance(points, at_once=7) == pytest.approx(brute, rel=1e-12)
    assert largest_distance(points) == pytest.approx(brute, rel=1e-12)


@pytest.mark.parametrize("dim", [5, 64, 3072, 196608])
def test_technique_2_solves_its_equation(dim):
    gamma, away = level_ratio(dim), math.sqrt(2 * dim) * (level_ratio(dim) - 1)
    assert norm.cdf(away + 3 * gamma) - norm.cdf(away - 3 * gamma) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_ladders_and_steps(name):
    """The ladders are those of an overlap of 0.567, hence have 5 to 6 % more levels; the step sizes are the rule's, to two digits."""
    side, highest, levels, repeats, eps = PUBLISHED[name]
    assert levels / level_count(3 * side**2, 0.01, highest) == pytest.approx(1.057, abs=0.004)
    gamma = (highest / 0.01) ** (1 / (levels - 1))
    assert step_size(gamma, repeats) == pytest.approx(eps / 0.01**2, rel=0.02)


def test_what_is_recommended_does_not_depend_on_the_unit():
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    one, other = recommended(images, 0.01, 5), recommended(2 * images - 1, 0.02, 5)
    assert other.sigma_max == pytest.approx(2 * one.sigma_max)
    assert other[1:] == pytest.approx(one[1:])
    assert LADDER.steps != one.steps == 1 + math.ceil(math.log(one.sigma_max / 0.01) / math.log(level_ratio(64)))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: GeometricLadder(1), "at least two levels, not 1"),
        (lambda: GeometricLadder(5, 2.0, 1.0), "sigma_min = 2.0 must be positive and below sigma_max = 1.0"),
        (lambda: level_ratio(2), "noise of 2 dimensions overlaps at all levels"),
        (lambda: largest_distance(torch.zeros(1, 1, 3)), "a distance is between two images, and there are 1"),
        (lambda: recommended(torch.zeros(3, 1, 9), 0.01, 5), "the images are at most 0 apart"),
        (lambda: step_size(1.0, 5), "levels rise"),
    ],
)
def test_what_makes_no_ladder_is_refused_in_one_line(what, message):
    with pytest.raises(ValueError, match=message) as refused:
        what()
    assert "\n" not in str(refused.value)
