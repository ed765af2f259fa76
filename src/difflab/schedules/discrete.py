"""Schedules of finitely many steps: from betas, and from a table of alpha_bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float64
from scipy.special import expit
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class Tabulated(NoiseSchedule):
    """alpha_bar_i = prod_{j <= i} (1 - beta_j);  alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar) (Ho et al. 2020, eq. 4).

    Step i = 0 .. T-1 sits at t = (i + 1) / T, so that t = 0 is the clean image before the first step. There the table is exact; between its
    rows, for samplers that ask, alpha and sigma are interpolated linearly. The network is told i.

    Args:
        betas: Variances of the T steps, each in (0, 1].
        time_scale: The network is told i * time_scale. OpenAI's `rescale_timesteps` is time_scale = 1000 / T.
    """

    def __init__(self, betas: Sequence[float] | np.ndarray | Tensor, time_scale: float = 1.0):
        betas = torch.as_tensor(np.asarray(betas, dtype=np.float64))
        if betas.ndim != 1 or len(betas) == 0:
            raise ValueError(
                f"betas: expected a list of numbers, one per step, but their shape is {tuple(betas.shape)}"
            )
        outside = torch.nonzero(~((betas > 0) & (betas <= 1)))
        if len(outside):
            i = int(outside[0])
            raise ValueError(
                f"betas[{i}] = {betas[i]:.6g} is outside (0, 1] (of {len(betas)} steps); use more steps or smaller betas"
            )
        if (betas[:-1] == 1).any():
            raise ValueError("a beta of 1 before the last step leaves no signal for the steps after it")
        alpha_bar = torch.cumprod(1 - betas, 0)
        clean = betas.new_tensor([0.0])
        self.betas = betas
        self.steps = self._count = len(betas)
        self.time_scale = time_scale
        self._alpha = torch.cat([clean + 1, alpha_bar.sqrt()])
        self._sigma = torch.cat([clean, (1 - alpha_bar).sqrt()])
        self._on_device: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        return between_rows(AlphaSigma(*self._tables(t.device)), t)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        row, fraction = nearest_rows(t, self._count)
        return (row + fraction - 1) * self.time_scale

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return step_time(u, self._count)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on_device:  # once per device: a transfer in every step would make the host wait
            self._on_device[device] = self._alpha.to(device), self._sigma.to(device)
        return self._on_device[device]


class BetweenSteps(NoiseSchedule):
    """The noise levels of a table, and those between: alpha_bar is linear in t from step to step, sigma^2 = 1 - alpha_bar.

    So a uniform time is a uniform step, and an alpha_bar that is uniform between this step's and the one's before, the continuous noise
    level on which WaveGrad and SR3 train (Chen et al. 2021, section 2.3; Saharia et al. 2021, section 2.4). Samplers walk down the steps.

    Args:
        schedule: The table.
    """

    def __init__(self, schedule: Tabulated):
        self.schedule = schedule
        self.steps = self._count = len(schedule.betas)

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        row, fraction = nearest_rows(t, self._count)
        low = self.schedule(row.double() / self._count)
        high = self.schedule((row + 1).clamp(max=self._count).double() / self._count)
        alpha_bar = torch.lerp(low.alpha**2, high.alpha**2, fraction)
        between = fraction > 0
        return AlphaSigma(
            torch.where(between, alpha_bar.sqrt(), low.alpha), torch.where(between, (1 - alpha_bar).sqrt(), low.sigma)
        )

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.schedule.network_time(t)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u


def nearest_rows(t: Float64[Tensor, " b"], count: int) -> tuple[Tensor, Tensor]:
    """Row of a table of so many steps (0 is clean), and the fraction of the way to the next; a time that means a row hits it exactly."""
    position = t.double() * count
    nearest = position.round()
    position = torch.where((position - nearest).abs() < 1e-6, nearest, position)
    row = position.floor().clamp(0, count)
    return row.long(), (position - row).clamp(0, 1)


def between_rows(table: AlphaSigma, t: Float64[Tensor, " b"]) -> AlphaSigma:
    """The levels at times t: those of a row of a table [T + 1], or linear between two of them."""
    count = len(table.alpha) - 1
    row, fraction = nearest_rows(t, count)
    above = (row + 1).clamp(max=count)
    return AlphaSigma(*(torch.lerp(values[row], values[above], fraction) for values in table))


def step_time(u: Float64[Tensor, " b"], count: int) -> Float64[Tensor, " b"]:
    """The time of the step of so many into whose part of [0, 1] a number falls."""
    return (torch.floor(u * count) + 1).clamp(max=count) / count


def betas_along(alpha_bar: Callable[[float], float], steps: int, max_beta: float) -> np.ndarray:
    """beta_i = min(1 - alpha_bar((i + 1) / T) / alpha_bar(i / T), max_beta) (Nichol and Dhariwal 2021, section 3.2).

    Args:
        alpha_bar: u in [0, 1] -> signal power, falling.
        steps: T.
        max_beta: Bound on each beta.

    Returns:
        The T betas, float64.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    # number by number: the vectorised functions of numpy give other last bits on other processors
    signal = np.array([alpha_bar(i / steps) for i in range(steps + 1)], dtype=np.float64)
    return np.minimum(1 - signal[1:] / signal[:-1], max_beta)


def linear(steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02, time_scale: float = 1.0) -> Tabulated:
    """beta_i rises linearly from (1000 / T) beta_start to (1000 / T) beta_end.

    Ho et al. 2020, section 4, for T = 1000; the factor 1000 / T (Nichol and Dhariwal 2021) keeps the noise at the end alike for any T.

    Args:
        steps: T, at least 1000 beta_end: with fewer, the last beta would be over 1.
        beta_start: The first beta for T = 1000.
        beta_end: The last beta for T = 1000.
        time_scale: See `Tabulated`.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    scale = 1000 / steps
    if scale * beta_end > 1:
        raise ValueError(
            f"a linear schedule of {steps} steps ends at beta = {scale * beta_end:.4g} > 1: use at least "
            f"{int(np.ceil(1000 * beta_end))} steps, or the cosine schedule"
        )
    return Tabulated(np.linspace(scale * beta_start, scale * beta_end, steps, dtype=np.float64), time_scale)


def scaled_linear(
    steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012, time_scale: float = 1.0
) -> Tabulated:
    """sqrt(beta_i) rises linearly from sqrt(beta_start) to sqrt(beta_end) (Rombach et al. 2022, released configurations).

    Args:
        steps: T; the end points are those of T = 1000 and are not rescaled.
        beta_start: The first beta.
        beta_end: The last beta.
        time_scale: See `Tabulated`.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    return Tabulated(np.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=np.float64) ** 2, time_scale)


def cosine(steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999, time_scale: float = 1.0) -> Tabulated:
    """alpha_bar(u) = cos^2((u + s) / (1 + s) pi / 2) (Nichol and Dhariwal 2021, eq. 17).

    Args:
        steps: T.
        offset: s: keeps the first betas from vanishing.
        max_beta: Bound on each beta: keeps a rest of signal at the end.
        time_scale: See `Tabulated`.
    """
    return Tabulated(
        betas_along(lambda u: math.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2, steps, max_beta), time_scale
    )


def sigmoid(
    steps: int = 1000,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    max_beta: float = 0.999,
    time_scale: float = 1.0,
) -> Tabulated:
    """alpha_bar(u) = (S(end) - S(start + u (end - start))) / (S(end) - S(start)), S(z) = 1 / (1 + exp(-z / tau)).

    Jabri et al. 2023, "Scalable Adaptive Computation for Iterative Generation", algorithm 2.

    Args:
        steps: T.
        start: Where the part of the logistic curve that is used begins.
        end: Where it ends.
        tau: The curve's temperature.
        max_beta: Bound on each beta.
        time_scale: See `Tabulated`.
    """
    first, last = expit(start / tau), expit(end / tau)
    return Tabulated(
        betas_along(lambda u: (last - expit((start + u * (end - start)) / tau)) / (last - first), steps, max_beta),
        time_scale,
    )


def sqrt(steps: int = 1000, offset: float = 1e-4, max_beta: float = 0.999, time_scale: float = 1.0) -> Tabulated:
    """Noise that rises fast at first (Li et al. 2022, "Diffusion-LM", appendix A).

    alpha_bar(u) = 1 - sqrt(u + s).

    Args:
        steps: T.
        offset: s: noise power of the clean end.
        max_beta: Bound on each beta.
        time_scale: See `Tabulated`.
    """
    return Tabulated(betas_along(lambda u: max(1 - math.sqrt(u + offset), 0.0), steps, max_beta), time_scale)


def warm_up(
    steps: int = 1000,
    beta_start: float = 1e-6,
    beta_end: float = 0.01,
    fraction: float = 0.1,
    time_scale: float = 1.0,
) -> Tabulated:
    """beta_i rises linearly to beta_end, and stays there (Ho et al. 2020, released code, where 10 % or 50 % of the steps warm up).

    Args:
        steps: T; the betas are not rescaled with it.
        beta_start: The first beta.
        beta_end: The last beta.
        fraction: Share of the steps in which it rises; 0 for betas that are all alike.
        time_scale: See `Tabulated`.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction = {fraction} is a share of the steps, from 0 to 1")
    rising = int(steps * fraction)
    betas = np.linspace(beta_start, beta_end, rising, dtype=np.float64)
    return Tabulated(np.append(betas, np.full(steps - rising, beta_end)), time_scale)


def harmonic(steps: int = 1000, time_scale: float = 1.0) -> Tabulated:
    """beta_i = 1 / T, 1 / (T - 1), ..., 1: every step takes an equal share of the signal's power.

    Sohl-Dickstein et al. 2015, section 2.4.1. The last step holds no signal: see `zero_terminal_snr`.

    Args:
        steps: T.
        time_scale: See `Tabulated`.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    return Tabulated(1 / np.arange(steps, 0, -1, dtype=np.float64), time_scale)


def zero_terminal_snr(schedule: Tabulated) -> Tabulated:
    """Another schedule, shifted and stretched so that its last step holds no signal.

    alpha'_i = (alpha_i - alpha_T) alpha_1 / (alpha_1 - alpha_T).

    Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1. A network that predicts eps learns nothing
    at the last step and cannot be sampled from there: combine it with the v or x0 parameterization.

    Args:
        schedule: The other schedule, of at least 2 steps.
    """
    alpha = np.sqrt(np.cumprod(1 - schedule.betas.numpy()))
    if len(alpha) < 2:
        raise ValueError("zero terminal SNR needs a schedule of at least 2 steps")
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    alpha_bar = alpha**2
    return Tabulated(1 - np.append(alpha_bar[0], alpha_bar[1:] / alpha_bar[:-1]), schedule.time_scale)
