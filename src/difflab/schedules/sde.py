"""The stochastic differential equation of a schedule: dx = f(t) x dt + g(t) dw."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule, rates


class Coefficients(NamedTuple):
    """Coefficients of dx = f x dt + g dw at some times (Song et al. 2021, arXiv 2011.13456, eq. 5).

    Attributes:
        drift: f, [N].
        power: g^2, [N].
    """

    drift: Float64[Tensor, " n"]
    power: Float64[Tensor, " n"]


def diffusion(schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Coefficients:
    """f = d log alpha / dt and g^2 = d sigma^2 / dt - 2 f sigma^2, which make x_t = alpha x_0 + sigma eps of x_0.

    They are the inverse of Song et al. 2021, eq. 29 (Kingma et al. 2021, arXiv 2107.00630, appendix F). So every continuous schedule has an
    equation: f = 0, g^2 = d sigma^2 / dt of the variance-exploding one, f = -beta / 2, g^2 = beta of the variance-preserving one. Beside
    the noise, g^2 is what the log-SNR loses: g^2 / sigma^2 = -d log(alpha^2 / sigma^2) / dt.

    Args:
        schedule: In continuous time; a table has steps and no rates.
        t: Times.

    Returns:
        Both, without gradients; not finite where alpha is 0 or changes infinitely fast.

    Raises:
        ValueError: The schedule is a table.
    """
    if schedule.steps is not None:
        raise ValueError(
            f"{type(schedule).__name__} is a table of {schedule.steps} steps and has no drift and diffusion: choose a schedule of "
            "continuous time, as schedule=variance_preserving, or a sampler that walks down its steps, as "
            "sampler/predictor=reverse_diffusion"
        )
    (alpha, sigma), (alpha_rate, sigma_rate) = schedule(t), rates(schedule, t)
    drift = alpha_rate / alpha
    power = 2 * sigma * sigma_rate - 2 * drift * sigma**2
    return Coefficients(drift.detach(), power.detach())
