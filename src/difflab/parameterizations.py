"""How a network's output is read: (t, alpha, sigma) -> (c_skip, c_out, c_in, c_noise)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.process import transition
from difflab.schedules.schedule import NoiseSchedule, rates
from difflab.types import AlphaSigma, Preconditioning

__all__ = ["EDM", "X0", "Epsilon", "FlowVelocity", "Parameterization", "PreviousX", "Score", "Velocity"]


PerImage: TypeAlias = Float64[Tensor, " b"]
"""A number for each image of a batch, [B]."""


class Parameterization(ABC):
    """How the raw network F is read: x_0 = c_skip x_t + c_out F(c_in x_t, c_noise).

    What F has to learn follows, (x_0 - c_skip x_t) / c_out, so noise, image, velocity and EDM losses are one mean squared error.
    """

    @abstractmethod
    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        """The coefficients.

        Args:
            t: Times, [B].
            alpha: The schedule's signal scale at t.
            sigma: The schedule's noise scale at t.
            time: The schedule's network time at t.
        """


class EDM(Parameterization):
    """Preconditioning of EDM (Karras et al. 2022, table 1, last column), for any alpha.

        c_skip = alpha d^2 / p,  c_out = sigma d / sqrt(p),  c_in = 1 / sqrt(p),  c_noise = ln(sigma / alpha) / 4

    where p = alpha^2 d^2 + sigma^2 is the variance of x_t. With alpha = 1 these are the paper's; else they are the paper's at the noise
    level sigma / alpha, applied to x_t / alpha.

    Args:
        sigma_data: d, the standard deviation of the data.
    """

    def __init__(self, sigma_data: float = 0.5):
        if sigma_data <= 0:
            raise ValueError(f"sigma_data = {sigma_data} must be positive")
        self.sigma_data = sigma_data

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        power = alpha**2 * self.sigma_data**2 + sigma**2
        return Preconditioning(
            c_skip=alpha * self.sigma_data**2 / power,
            c_out=sigma * self.sigma_data / power.sqrt(),
            c_in=1 / power.sqrt(),
            c_noise=torch.log(sigma / alpha) / 4,
        )


class Epsilon(Parameterization):
    """F = eps, x_0 = (x_t - sigma F) / alpha (Ho et al. 2020, eq. 11)."""

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        return Preconditioning(1 / alpha, -sigma / alpha, torch.ones_like(alpha), time)


class FlowVelocity(Parameterization):
    """F = dx_t / dt = alpha' x_0 + sigma' eps, the velocity of the flow, with the derivatives of the schedule's own formulas.

        x_0 = (sigma' x_t - sigma F) / w,  w = alpha sigma' - sigma alpha'

    Lipman et al. 2023, "Flow Matching", section 4; Ma et al. 2024, "SiT", section 2. F = eps - x_0 on the linear path; on the cosine
    path it is pi / 2 times the v of `Velocity`, which is no velocity of other paths. Those papers' t runs the other way, so their velocity
    is -F. Well defined without any signal, since w > 0 wherever the log-SNR falls.

    Args:
        schedule: That of the model, in continuous time.
    """

    def __init__(self, schedule: NoiseSchedule):
        if schedule.steps is not None:
            raise ValueError(
                f"the velocity of a flow needs the rates of change of alpha and sigma, and {type(schedule).__name__} is a table of "
                f"{schedule.steps} steps: use parameterization=velocity (v-prediction), or schedule=linear_path, cosine_path or "
                "variance_preserving"
            )
        self.schedule = schedule

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        alpha_rate, sigma_rate = rates(self.schedule, t.double())
        w = alpha * sigma_rate - sigma * alpha_rate
        return Preconditioning(sigma_rate / w, -sigma / w, torch.ones_like(alpha), time)


class PreviousX(Parameterization):
    """F = mean of q(x_s | x_t, x_0) for the step s = t - 1/T before t, x_0 = (F - coef_xt x_t) / coef_x0.

    The mu-prediction of Ho et al. 2020, table 2. The step is always one of the schedule's own chain, on which the network was trained, also
    when sampling takes fewer steps. (guided-diffusion's respaced models read the output as the respaced chain's mean instead; for that,
    give the respaced betas as a schedule.)

    Args:
        schedule: The discrete schedule of the model.
    """

    def __init__(self, schedule: NoiseSchedule):
        if schedule.steps is None:
            raise ValueError(
                "previous-x prediction needs a discrete schedule: in continuous time there is no previous step"
            )
        self.schedule = schedule
        self._step = 1 / schedule.steps

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        step = transition(self.schedule((t - self._step).clamp(min=0)), AlphaSigma(alpha, sigma))
        return Preconditioning(-step.coef_xt / step.coef_x0, 1 / step.coef_x0, torch.ones_like(alpha), time)


class Score(Parameterization):
    """F = score = -eps / sigma, x_0 = (x_t + sigma^2 F) / alpha (Song and Ermon 2019, "Estimating Gradients of the Data Distribution").

    Their loss, sigma^2 |F + eps / sigma|^2, is a squared error with the weighting `SNR`. A network that is divided by sigma (Song and Ermon
    2020, technique 3) predicts -eps, hence is `Epsilon` but for the sign.
    """

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        return Preconditioning(1 / alpha, sigma**2 / alpha, torch.ones_like(alpha), time)


class Velocity(Parameterization):
    """F = v = alpha eps - sigma x_0, x_0 = (alpha x_t - sigma F) / (alpha^2 + sigma^2).

    Salimans and Ho 2022, "Progressive Distillation", section 4, where alpha^2 + sigma^2 = 1. Well defined without any signal.
    """

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        power = alpha**2 + sigma**2
        return Preconditioning(alpha / power, -sigma / power, torch.ones_like(alpha), time)


class X0(Parameterization):
    """F = x_0 (Ho et al. 2020, section 3.2)."""

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        one = torch.ones_like(alpha)
        return Preconditioning(torch.zeros_like(alpha), one, one, time)
