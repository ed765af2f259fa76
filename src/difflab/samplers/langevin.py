"""Annealed Langevin dynamics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.grids import Grid
from difflab.samplers.priors import Prior, UniformPrior
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk

UNIFORM = UniformPrior()


class Level(NamedTuple):
    """One level of noise, as its steps need it.

    Attributes:
        step: Its number among the chain's times, N .. 1.
        time: Its time.
        alpha: By what the images are divided.
        sigma: Of the divided images: sigma_t / alpha_t.
    """

    step: int
    time: float
    alpha: float
    sigma: float


class AnnealedLangevin(Sampler):
    """x += r sigma_i^2 score + sqrt(2 r) sigma_i z, T times at each level sigma_i, the noisiest first.

    Song and Ermon 2019 (arXiv 1907.05600), algorithm 1, with the step rule eps_i = eps sigma_i^2 / sigma_L^2, which is r sigma_i^2 with r =
    eps / sigma_L^2: a number without a unit, the same for images in [0, 1] and in [-1, 1]. r = 0.2 is eps = 2e-5 at sigma_L = 0.01 of the
    code of NCSN (the paper's algorithm has eps / 2 and sqrt(eps), its code eps and sqrt(2 eps), as NCSNv2 has in both). The last image may
    be followed by x + sigma_L^2 score, the denoiser's x_0 of it (Song and Ermon 2020, arXiv 2006.09011, section 3.5; Jolicoeur-Martineau et
    al. 2020).

    The score follows from the denoiser, sigma^2 score = x_0 - x. x is the image divided by alpha_t and sigma_i the noise level sigma_t /
    alpha_t: any schedule has levels, those of its grid. The network is called T times a level, and once more for the last denoising.

    Args:
        grid: Its times are the levels.
        repeats: T.
        step_size: r, below 1 (`difflab.schedules.ladder.step_size` recommends one).
        last_denoising: Whether the last image is denoised.
        prior: What the walk begins with.
    """

    def __init__(
        self,
        grid: Grid,
        repeats: int = 5,
        step_size: float = 0.062,
        last_denoising: bool = True,
        prior: Prior = UNIFORM,
    ):
        if repeats < 1:
            raise ValueError(f"repeats={repeats}: each level has at least one step")
        if not 0 < step_size < 1:
            raise ValueError(
                f"step_size={step_size} is a share of sigma^2, above 0 and below 1: the papers' eps over the square of their last sigma"
            )
        self.grid, self.repeats, self.step_size = grid, repeats, step_size
        self.last_denoising, self.prior = last_denoising, prior

    def steps(self, walk: Walk) -> Step:
        levels, moved = self.levels(walk), self.moves(walk)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            at = levels[state.step - 1]
            x, x_0 = state.over(at.alpha), None
            for k in range(self.repeats):
                x, x_0 = moved(x, at, k, noise)
            if at.step == 1:
                return self.finished(walk, at, x)
            reached = levels[at.step - 2]
            return SamplerState(x, reached.time, reached.step, reached.alpha, x_0)

        return step

    def levels(self, walk: Walk) -> list[Level]:
        """The levels of a walk, the cleanest first.

        Raises:
            ValueError: One of them has no signal.
        """
        alpha, sigma = walk.chain.level
        level = sigma / alpha
        if not level[1:].isfinite().all():
            raise ValueError(
                "Langevin dynamics moves at noise levels sigma / alpha, and the schedule leaves no signal where the grid begins: use "
                "schedule=geometric_ladder, or sampler/grid=karras, which begins at sigma_max, or sampler=ddim or ddpm"
            )
        columns = zip(walk.chain.times.tolist(), alpha.tolist(), level.tolist(), strict=True)
        return [Level(i, *numbers) for i, numbers in enumerate(columns)][1:]

    def moves(self, walk: Walk) -> Callable[[Tensor, Level, int, Noise], tuple[Tensor, Tensor]]:
        """One step of Langevin dynamics: (images over alpha, their level, the step's number there, noise) -> (images over alpha, x_0)."""
        spread = math.sqrt(2 * self.step_size)

        def moved(x: Tensor, at: Level, k: int, noise: Noise) -> tuple[Tensor, Tensor]:
            x_0 = walk.predict(x if at.alpha == 1 else at.alpha * x, at.time).x0
            z = noise.normal("langevin", tuple(x.shape[1:]), step=at.step * self.repeats + k).to(x)
            return x + self.step_size * (x_0 - x) + spread * at.sigma * z, x_0

        return moved

    def finished(self, walk: Walk, at: Level, x: Tensor) -> SamplerState:
        """The end of the walk.

        Args:
            walk: The walk.
            at: Its cleanest level.
            x: The images there, over alpha.
        """
        if self.last_denoising:
            x = walk.predict(x if at.alpha == 1 else at.alpha * x, at.time).x0
        return SamplerState(x, 0.0, 0, x0=x)
