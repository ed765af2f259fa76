"""Correctors of Score SDE: steps of Langevin dynamics that leave the time as it is and the distribution better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from difflab.noise import Noise
from difflab.process import over, score_from_x0
from difflab.samplers.sampler import SamplerState, Walk, by_step
from difflab.types import AlphaSigma

__all__ = ["AnnealedLangevinCorrector", "Correct", "Corrector", "LangevinCorrector", "Uncorrected"]

Correct: TypeAlias = Callable[[SamplerState, Noise], SamplerState]
"""A state and the noise of the images -> the state at the same time with better images."""


class Corrector(ABC):
    """What moves images towards the distribution of x_t, by the score at t alone."""

    @abstractmethod
    def corrections(self, walk: Walk) -> Correct:
        """What is done at each time of a walk. All that it needs is worked out here, once.

        Args:
            walk: What is walked.
        """


class LangevinCorrector(Corrector):
    """x += e score + sqrt(2 e) z with e = 2 alpha_ts^2 (snr |z| / |score|)^2 (Song et al. 2021, algorithms 4 and 5).

    alpha_ts^2 is the share of signal that the next step would take, 1 - beta of a step of DDPM and 1 where noise is added and nothing
    scaled. The norms are those of the image itself and not means over the batch, as the paper's code has them: here no image depends on
    those beside it. For the few numbers of a small image norms scatter, and steps with them, up to one or two numbers, of which the mean of
    1 / |score|^2 is infinite; take `AnnealedLangevinCorrector` there.

    Steps do not shrink with the noise level, but with the score, which is that of the data where there is hardly any noise. So it has to
    be known there: it follows from x_0 - x_t / alpha_t, of which rounding leaves nothing at the smallest levels of some grids.

    Args:
        snr: Signal-to-noise ratio of a step: 0.16 for variance-exploding models of CIFAR-10, 0.01 for variance-preserving ones.
        steps: So many at each time.
    """

    def __init__(self, snr: float = 0.16, steps: int = 1):
        _check(snr, steps)
        self.snr, self.count = snr, steps

    def corrections(self, walk: Walk) -> Correct:
        self._check_walk(walk)
        kept = by_step((_kept(walk),), walk.like)

        def size(i: int, z: Tensor, score: Tensor) -> Tensor:
            width = 2 * kept[i - 1][0] * (self.snr * _norm(z) / _norm(score)).square()
            return width.nan_to_num(nan=0.0, posinf=0.0)  # without a score there is nowhere to go

        return _langevin(walk, self.count, size)

    def _check_walk(self, walk: Walk) -> None:
        numbers, (alpha, sigma) = walk.like[0].numel(), walk.chain.level
        if numbers <= 2:
            raise ValueError(
                f"steps by the norms of noise and score have no mean width for points of {numbers} number{'s' * (numbers > 1)}: use "
                "sampler/corrector=annealed_langevin"
            )
        lowest, known = float((sigma / alpha)[1].detach()), 100 * torch.finfo(walk.like.dtype).eps
        if lowest < known:
            raise ValueError(
                f"{type(walk.schedule).__name__} has a noise level of {lowest:.2g} at the first time of the grid, and below {known:.2g} "
                "the score is rounding alone, which the corrector would follow: use sampler/grid=karras or log_snr, or "
                "sampler/corrector=annealed_langevin"
            )


class AnnealedLangevinCorrector(Corrector):
    """x += e score + sqrt(2 e) z with e = 2 alpha_ts^2 (snr sigma_t)^2: Langevin steps whose size is known beforehand.

    Annealed Langevin dynamics (Song and Ermon 2019, arXiv 1907.05600) as the corrector of Song et al. 2021, appendix G; see
    `LangevinCorrector` for alpha_ts.

    Args:
        snr: Signal-to-noise ratio of a step.
        steps: So many at each time.
    """

    def __init__(self, snr: float = 0.16, steps: int = 1):
        _check(snr, steps)
        self.snr, self.count = snr, steps

    def corrections(self, walk: Walk) -> Correct:
        sizes = by_step((2 * _kept(walk) * (self.snr * walk.chain.level.sigma[1:]) ** 2,), walk.like)
        return _langevin(walk, self.count, lambda i, z, score: sizes[i - 1][0])


class Uncorrected(Corrector):
    """Nothing is corrected: the predictor by itself."""

    def corrections(self, walk: Walk) -> Correct:
        return lambda state, noise: state


def _langevin(walk: Walk, count: int, size: Callable[[int, Tensor, Tensor], Tensor]) -> Correct:
    """So many steps at a time, each of the size [B] that step number, noise and score ask for."""
    levels = by_step((level[1:] for level in walk.chain.level), walk.like)

    def correct(state: SamplerState, noise: Noise) -> SamplerState:
        i, x = state.step, state.image
        for k in range(count):
            score = score_from_x0(x, walk.predict(x, state.t).x0, AlphaSigma(*levels[i - 1]))
            z = noise.normal("corrector", tuple(x.shape[1:]), step=i * count + k).to(x)
            width = size(i, z, score)
            x = x + over(width, x) * score + over((2 * width).sqrt(), x) * z
        return state.with_image(x)

    return correct


def _kept(walk: Walk) -> Tensor:
    """alpha_ts^2 of each step, [N]."""
    alpha = walk.chain.level.alpha
    return (alpha[1:] / alpha[:-1]) ** 2


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def _check(snr: float, steps: int) -> None:
    if snr <= 0 or steps < 1:
        raise ValueError(
            f"a corrector with snr = {snr:g} and steps = {steps} corrects nothing: snr must be positive and steps at least 1, or "
            "choose sampler/corrector=uncorrected"
        )
