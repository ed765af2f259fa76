"""Averages of the weights over training: kept while it goes on, and made afterwards from snapshots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from torch import Tensor

YOUNG = 0.01
"""Share of its initial weights from which on an average is called young."""


class Averaging(ABC):
    """A function step -> beta: after optimizer step `step` = 1, 2, ... the average becomes beta * average + (1 - beta) * weights.

    The average starts as the initial weights.

    Attributes:
        snapshot_std: Relative standard deviation of the weights' profile, by which post-hoc EMA combines snapshots of this average
            (`PostHoc`); None for one whose snapshots it cannot combine.
    """

    snapshot_std: float | None = None

    @abstractmethod
    def beta(self, step: int) -> float:
        """Share of the old average that is kept after the given step."""


def initial_share(averaging: Averaging, steps: int) -> float:
    """How much of the initial weights an average still holds: the product of beta over the steps; 0 where it is below 1/1000."""
    share = 1.0
    for step in range(1, steps + 1):
        share *= averaging.beta(step)
        if share < 1e-3:
            return 0.0
    return share


def youth(name: str, averaging: Averaging, steps: int) -> str:
    """What to know of the numbers of an average that is still young; empty for one that has left its beginning behind."""
    share = initial_share(averaging, steps)
    if share < YOUNG:
        return ""
    return (
        f"the average {name!r} still holds {100 * share:.0f} % of its initial weights after {steps} steps, and its samples and scores show "
        "them; 'online' is the weights themselves, and ema=[warm_up] forgets the beginning soon"
    )


class Constant(Averaging):
    """The same beta = decay (Ho et al. 2020, appendix B, with 0.9999).

    Args:
        decay: In [0, 1).
    """

    def __init__(self, decay: float = 0.9999):
        if not 0 <= decay < 1:
            raise ValueError(f"an EMA decay must be in [0, 1), not {decay}")
        self.decay = decay

    def beta(self, step: int) -> float:
        return self.decay


class HalfLife(Averaging):
    """Decay beta = 0.5^(batch_size / h), h = min(half_life, ramp_up * images seen before the step).

    Karras et al. 2022, EDM's training code. Does not change its meaning with the batch size. The first step forgets the initial weights.

    Args:
        half_life: Images after which a weight counts half.
        batch_size: The global batch.
        ramp_up: Bound on the half-life as a share of the images seen so far.
    """

    def __init__(self, half_life: float, batch_size: int, ramp_up: float = 0.05):
        if half_life <= 0 or ramp_up <= 0:
            raise ValueError(f"half_life = {half_life} images and ramp_up = {ramp_up} must be positive")
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size} must be the global batch, at least 1")
        self.half_life = half_life
        self.batch_size = batch_size
        self.ramp_up = ramp_up

    def beta(self, step: int) -> float:
        images = min(self.half_life, self.ramp_up * (step - 1) * self.batch_size)
        return 0.5 ** (self.batch_size / images) if images else 0.0


class PowerFunction(Averaging):
    """Decay beta = (1 - 1 / step)^(gamma + 1): weights of step i count in proportion to i^gamma (Karras et al. 2024, EDM2, eq. 127).

    Args:
        std: Relative standard deviation of the weights' profile, which determines gamma by std^2 = (gamma + 1) / ((gamma + 2)^2 (gamma +
            3)); 0.05 and 0.1 are common.
    """

    def __init__(self, std: float):
        if not 0 < std < 0.288:  # gamma > 0
            raise ValueError(
                f"the relative standard deviation of a power-function EMA must be in (0, 0.288), not {std}"
            )
        self.std = self.snapshot_std = std
        # s = std^-2:  gamma^3 + 7 gamma^2 + (16 - s) gamma + (12 - s) = 0 (EDM2, algorithm 2)
        s = std**-2
        self.gamma = float(np.roots([1, 7, 16 - s, 12 - s]).real.max())

    def beta(self, step: int) -> float:
        return (1 - 1 / step) ** (self.gamma + 1)


class WarmUp(Averaging):
    """Decay beta = min(decay, (1 + n) / (10 + n)) after n steps: forgets the initial weights soon, then averages over ever longer times.

    The rule of TensorFlow's ExponentialMovingAverage(num_updates=n).

    Args:
        decay: Where the growth ends.
    """

    def __init__(self, decay: float = 0.9999):
        if not 0 <= decay < 1:
            raise ValueError(f"an EMA decay must be in [0, 1), not {decay}")
        self.decay = decay

    def beta(self, step: int) -> float:
        return min(self.decay, (1 + step) / (10 + step))


class PostHoc:
    """The power-function average of a wanted length as a combination of saved ones (Karras et al. 2024, EDM2, section 3.2, algorithm 3).

    A power-function average at step t weighs step u <= t in proportion to u^gamma. The combination whose weights over all steps come
    closest, in least squares, to those of the wanted average solves a small linear system.

    Args:
        std: Relative standard deviation of the wanted average's profile.
    """

    def __init__(self, std: float):
        self.std = std
        self._gamma = PowerFunction(std).gamma

    def coefficients(self, steps: Sequence[int], stds: Sequence[float], at_step: int) -> np.ndarray:
        """The weight of each snapshot for the wanted average.

        Args:
            steps: The step of each snapshot, [n].
            stds: The relative standard deviation of each snapshot's profile, [n].
            at_step: The step of the wanted average.

        Returns:
            The weights, float64 [n].

        Raises:
            ValueError: There is no snapshot, or one of a later step.
        """
        if len(steps) == 0 or max(steps) > at_step:
            raise ValueError(
                f"the average at step {at_step} needs snapshots up to that step, not of steps {list(steps)}"
            )
        times, gammas = np.asarray(steps, float), np.array([PowerFunction(std).gamma for std in stds])
        gram = _overlap(times[:, None], gammas[:, None], times[None], gammas[None])
        wanted = _overlap(times, gammas, np.asarray(float(at_step)), np.asarray(self._gamma))
        return np.linalg.lstsq(gram, wanted, rcond=1e-12)[0]

    def combine(self, snapshots: Sequence[dict[str, Tensor]], coefficients: np.ndarray) -> dict[str, Tensor]:
        """The weighted sum of snapshots, in float64 until the end; of what is not floating point, a count, the last one."""
        last = snapshots[-1]
        total = {name: value.double() * coefficients[0] for name, value in snapshots[0].items()}
        for snapshot, coefficient in zip(snapshots[1:], coefficients[1:], strict=True):
            for name, value in snapshot.items():
                total[name] += value.double() * coefficient
        return {n: value.to(last[n].dtype) if last[n].is_floating_point() else last[n] for n, value in total.items()}


def _overlap(t_a: np.ndarray, gamma_a: np.ndarray, t_b: np.ndarray, gamma_b: np.ndarray) -> np.ndarray:
    """The integral of p_a p_b over time, p(u) = (gamma + 1) u^gamma / t^(gamma + 1) on [0, t] (EDM2, eq. 140)."""
    earlier, later = np.minimum(t_a, t_b), np.maximum(t_a, t_b)
    exponent = np.where(
        t_a < t_b, gamma_b, gamma_a
    )  # that of the later one, whose profile is cut off at the earlier time
    return (gamma_a + 1) * (gamma_b + 1) * (earlier / later) ** exponent / ((gamma_a + gamma_b + 1) * later)
