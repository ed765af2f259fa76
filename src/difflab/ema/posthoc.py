"""Averages of any length, made after training from snapshots of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from difflab.ema.averaging import PowerFunction


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
        """The weighted sum of snapshots, in float64 until the end."""
        total = {name: value.double() * coefficients[0] for name, value in snapshots[0].items()}
        for snapshot, coefficient in zip(snapshots[1:], coefficients[1:], strict=True):
            for name, value in snapshot.items():
                total[name] += value.double() * coefficient
        return {name: value.float() for name, value in total.items()}


def _overlap(t_a: np.ndarray, gamma_a: np.ndarray, t_b: np.ndarray, gamma_b: np.ndarray) -> np.ndarray:
    """The integral of p_a p_b over time, p(u) = (gamma + 1) u^gamma / t^(gamma + 1) on [0, t] (EDM2, eq. 140)."""
    earlier, later = np.minimum(t_a, t_b), np.maximum(t_a, t_b)
    exponent = np.where(
        t_a < t_b, gamma_b, gamma_a
    )  # that of the later one, whose profile is cut off at the earlier time
    return (gamma_a + 1) * (gamma_b + 1) * (earlier / later) ** exponent / ((gamma_a + gamma_b + 1) * later)
