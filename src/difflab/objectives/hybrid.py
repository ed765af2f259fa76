"""The hybrid objective of Improved DDPM."""

from __future__ import annotations

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.simple import Simple
from difflab.objectives.time_samplers import TimeSampler
from difflab.objectives.vlb import VLB
from difflab.objectives.weightings import Weighting
from difflab.process import perturb
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Losses, Prediction


class Hybrid(Objective[Denoiser], SquaredError):
    """L_simple + lambda L_vlb, where the bound teaches the variance only: its mean is detached (Nichol and Dhariwal 2021, eq. 16).

    Under a schedule that learns, the bound has its term at t = 1, as in `VLB`.

    Args:
        time_sampler: How t is drawn.
        weighting: Of L_simple.
        vlb_weight: lambda.
    """

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting, vlb_weight: float = 0.001):
        if vlb_weight < 0:
            raise ValueError(f"vlb_weight = {vlb_weight} must not be negative")
        self.time_sampler = time_sampler
        self.simple = Simple(time_sampler, weighting)
        self.vlb = VLB(time_sampler)
        self.vlb_weight = vlb_weight

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        t, importance = self.time_sampler(noise, denoiser.schedule)
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        x_t = perturb(x_0, eps, denoiser.schedule(t))
        raw = denoiser.raw(x_t, t, cond)
        simple = self.simple.error(raw, x_0, eps)
        frozen_mean = Prediction(raw.x0(x_t).detach(), raw.variance_fraction)
        vlb = self.vlb.error(denoiser, x_0, x_t, t, frozen_mean)
        loss = simple + self.vlb_weight * vlb
        losses = Losses(importance.to(loss) * loss, t, {"loss": loss, "simple": simple, "vlb": vlb})
        return self.vlb.with_prior(losses, denoiser, x_0, self.vlb_weight)

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """That of L_simple: the bound does not teach the mean."""
        return self.simple.x0_weight(schedule, t, c_out)

    def check(self, denoiser: Denoiser) -> None:
        self.vlb.check(denoiser)
        if not denoiser.variance.channels:
            raise ValueError(
                f"the bound in the hybrid objective teaches the variance, but {type(denoiser.variance).__name__} is fixed: use "
                "variance=learned_range or learned, or objective=simple"
            )
