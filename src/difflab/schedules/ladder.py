"""Noise levels in geometric progression, and how many there should be: the ladder of NCSN, with the rules of NCSNv2.

Song and Ermon 2019, "Generative Modeling by Estimating Gradients of the Data Distribution" (arXiv 1907.05600, section 4); Song and Ermon
2020, "Improved Techniques for Training Score-Based Generative Models" (arXiv 2006.09011), techniques 1, 2 and 4. The papers have images in
[0, 1], where those of difflab are in [-1, 1]: a level of theirs is twice as large here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, Shaped
from scipy.special import ndtr
from torch import Tensor

from difflab.schedules.discrete import nearest_rows, step_time
from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class GeometricLadder(NoiseSchedule):
    """alpha = 1, sigma_i = sigma_min (sigma_max / sigma_min)^(i / (L - 1)) for the levels i = 0 .. L-1 (Song and Ermon 2019, section 4.2).

    Level i sits at t = (i + 1) / L, and t = 0 is the clean image. Between two levels the logarithm of sigma is linear in t, below the first
    one sigma itself. The network is told L - 1 - i: as in the papers, level 0 is the noisiest.

    Args:
        steps: L.
        sigma_min: The cleanest level.
        sigma_max: The noisiest level.
    """

    def __init__(self, steps: int = 10, sigma_min: float = 0.02, sigma_max: float = 2.0):
        if steps < 2:
            raise ValueError(f"a ladder has at least two levels, not {steps}: set schedule.steps")
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min = {sigma_min} must be positive and below sigma_max = {sigma_max}")
        self.steps = self._count = steps
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        row, fraction = nearest_rows(t, self._count)
        place = row + fraction
        growth = math.log(self.sigma_max / self.sigma_min) / (self._count - 1)
        sigma = self.sigma_min * torch.exp(growth * (place - 1).clamp(min=0)) * place.clamp(max=1)
        return AlphaSigma(torch.ones_like(sigma), sigma)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        row, fraction = nearest_rows(t, self._count)
        return self._count - (row + fraction)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return step_time(u, self._count)


class Recommended(NamedTuple):
    """What NCSNv2's rules say of a data set.

    Attributes:
        sigma_max: The noisiest level.
        steps: The number of levels.
        step_size: That of `AnnealedLangevin`, as a share of sigma^2.
    """

    sigma_max: float
    steps: int
    step_size: float


def recommended(images: Shaped[Tensor, "n c *size"], sigma_min: float, repeats: int) -> Recommended:
    """Ladder and step size for a data set.

    Args:
        images: The training images, in [-1, 1].
        sigma_min: The cleanest level: so little noise that nobody minds it, 0.02 in the papers.
        repeats: T, steps of Langevin dynamics at each level.
    """
    highest = largest_distance(images)
    if not highest > sigma_min:
        raise ValueError(
            f"the images are at most {highest:.4g} apart, no more than the cleanest level, sigma_min = {sigma_min}: choose a smaller one"
        )
    steps = level_count(images[0].numel(), sigma_min, highest)
    gamma = (highest / sigma_min) ** (1 / (steps - 1))
    return Recommended(highest, steps, step_size(gamma, repeats))


def largest_distance(images: Shaped[Tensor, "n c *size"], at_once: int = 1024) -> float:
    """The largest Euclidean distance between two images: sigma_max (technique 1).

    With so much noise the density has one hill, and a walk gets from any image to any other one.

    Args:
        images: At least two.
        at_once: So many are compared with so many at a time.
    """
    if len(images) < 2:
        raise ValueError(f"a distance is between two images, and there are {len(images)}")
    parts = images.flatten(1).double().split(at_once)
    return max(torch.cdist(a, b).max().item() for i, a in enumerate(parts) for b in parts[i:])


def level_ratio(dim: int) -> float:
    """gamma = sigma_i / sigma_(i-1) with Phi(sqrt(2D)(gamma-1) + 3 gamma) - Phi(sqrt(2D)(gamma-1) - 3 gamma) = 1/2 (technique 2).

    The norm of noise of D dimensions is nearly normal, with a standard deviation of sigma / sqrt(2): half of the images at one level then
    lie within three of these of the next level's norm.

    Args:
        dim: D, numbers of an image.
    """
    from scipy.optimize import root_scalar  # a tenth of a second of import, of which every command would pay

    root = math.sqrt(2 * dim)

    def overlap(gamma: float) -> float:
        away = root * (gamma - 1)
        return float(ndtr(away + 3 * gamma) - ndtr(away - 3 * gamma))

    low, high = 1.0, 2.0**40
    if overlap(high) > 0.5:
        raise ValueError(
            f"noise of {dim} dimensions overlaps at all levels, so that technique 2 sets no bound: choose the levels by hand"
        )
    return root_scalar(lambda gamma: overlap(gamma) - 0.5, bracket=(low, high), xtol=1e-12).root


def level_count(dim: int, sigma_min: float, sigma_max: float) -> int:
    """L, as many levels as neighbours of a ratio of at most `level_ratio` need (technique 2), at least two."""
    return 1 + max(1, math.ceil(math.log(sigma_max / sigma_min) / math.log(level_ratio(dim)) - 1e-9))


def step_size(gamma: float, repeats: int) -> float:
    """r = eps / sigma_L^2 for which T steps at a level bring the variance from that of the level before closest to its own (technique 4).

    With x ~ N(0, gamma^2 sigma^2) at first, T steps of size r sigma^2 leave, as a multiple of sigma^2 (proposition 3),

        (1 - r)^2T (gamma^2 - 2 / (2 - r)) + 2 / (2 - r)

    which is above 1 for every r, and here as small as can be. It depends on nothing but the ratio of levels, hence not on the unit either.

    Args:
        gamma: Ratio of neighbouring levels.
        repeats: T.
    """
    if gamma <= 1 or repeats < 1:
        raise ValueError(f"levels rise and each has at least one step: gamma = {gamma:.4g}, repeats = {repeats}")
    r = torch.logspace(-6, 0, 60_001, dtype=torch.float64)[:-1]
    end = 2 / (2 - r)
    left = (1 - r) ** (2 * repeats) * (gamma**2 - end) + end
    return float(r[left.argmin()])
