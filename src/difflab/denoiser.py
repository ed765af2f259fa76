"""The denoiser: network o schedule o parameterization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.former_names import Neutral
from difflab.networks.network import Network
from difflab.noise_conditioning import NoiseConditioning
from difflab.noisy_model import AS_SCHEDULED, DenoisingModel
from difflab.parameterizations import Parameterization
from difflab.process import over, perturb
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Condition, Estimate, Preconditioning, Prediction
from difflab.variances import Variance


class RawOutput(NamedTuple):
    """What the network F says before it is read.

    Attributes:
        F: The output, [B, C, H, W].
        variance_fraction: What it says of the variance, [B, C, H, W] or None.
        c: The coefficients with which F is read.
        level: (alpha, sigma) at the images' times.
    """

    F: Float[Tensor, "b c *size"]
    variance_fraction: Float[Tensor, "b c *size"] | None
    c: Preconditioning
    level: AlphaSigma

    def x0(self, x_t: Tensor) -> Tensor:
        """x_0 = c_skip x_t + c_out F."""
        return over(self.c.c_skip, x_t) * x_t + over(self.c.c_out, x_t) * self.F

    def target(self, x_0: Tensor, eps: Tensor) -> Tensor:
        """What F should have said: (x_0 - c_skip x_t) / c_out.

        Written as a combination of x_0 and eps whose coefficients are formed in float64, so that a parameterization whose target is eps,
        x_0 or v gets exactly that and not its float32 remains.

        Args:
            x_0: The clean images, [B, C, H, W].
            eps: The noise in x_t, [B, C, H, W].
        """
        of_x0 = (1 - self.c.c_skip * self.level.alpha) / self.c.c_out
        of_eps = -self.c.c_skip * self.level.sigma / self.c.c_out
        return perturb(x_0, eps, AlphaSigma(of_x0, of_eps))


class Denoiser(DenoisingModel):
    """The model of an image from its noised form: (x_t, t, cond) -> Prediction.

    Args:
        network: (x [B, C, H, W], time [B], cond) -> [B, C (1 + variance.channels), H, W], with attributes in_channels, out_channels.
        schedule: t -> (alpha, sigma).
        parameterization: How the output is read.
        variance: Whether, and how, the network also speaks of the reverse variance.
        noise_conditioning: What number the network is told of the noise; nothing for what schedule and parameterization say.

    Raises:
        ValueError: The network's channels are not those that the variance needs, or its output cannot be read at t = 1.
    """

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        variance: Variance,
        noise_conditioning: Neutral[NoiseConditioning | Mapping[str, Any]] = AS_SCHEDULED,
    ):
        expected = network.in_channels * (1 + variance.channels)
        if network.out_channels != expected:
            raise ValueError(
                f"the network puts out {network.out_channels} channels, but {type(variance).__name__} with images of "
                f"{network.in_channels} channels needs {expected}: set network.out_channels={expected} or choose another variance"
            )
        super().__init__(network, schedule, parameterization, noise_conditioning)
        self.variance = variance
        noisiest = self.coefficients(torch.ones(1, dtype=torch.float64))
        if not all(torch.isfinite(c).all() for c in noisiest[1]):
            raise ValueError(
                f"{type(parameterization).__name__} cannot be read where the schedule leaves no signal (alpha = 0 at t = 1): use "
                "parameterization=velocity or x0, or a schedule that keeps some"
            )

    def forward(self, x_t: Float[Tensor, "b c *size"], t: Float64[Tensor, " b"], cond: Condition) -> Prediction:
        raw = self.raw(x_t, t, cond)
        return Prediction(raw.x0(x_t), raw.variance_fraction)

    def raw(self, x_t: Float[Tensor, "b c *size"], t: Float64[Tensor, " b"], cond: Condition) -> RawOutput:
        """The network's output before it is read, as objectives want it."""
        level, c = self.coefficients(t)
        cond = cond.at(t) if cond.controls else cond
        if self.network.reads_estimate:
            cond = self._with_estimate(x_t, t, cond)
        output = self.network(over(c.c_in, x_t) * x_t, c.c_noise, cond).to(x_t.dtype)
        if self.variance.channels == 0:
            return RawOutput(output, None, c, level)
        F, fraction = output.chunk(2, dim=1)
        return RawOutput(F, fraction, c, level)

    def _with_estimate(self, x_t: Tensor, t: Tensor, cond: Condition) -> Condition:
        """The condition with an estimate of x_0: the given one, else that of a first look, made without any and without gradients."""
        given = Estimate.of(cond)
        if given is not None and given.wanted is None:
            return cond
        none = torch.zeros_like(x_t)
        with torch.no_grad():
            first = self.raw(x_t, t, cond.beside(estimate=Estimate(none))).x0(x_t)
        if (
            torch.is_grad_enabled()
        ):  # weights that were cast without gradients would be without them in the second look, too
            torch.clear_autocast_cache()
        wanted = (
            first if given is None or given.wanted is None else torch.where(over(given.wanted, x_t).bool(), first, none)
        )
        return cond.beside(estimate=Estimate(wanted))
