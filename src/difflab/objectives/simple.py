"""The simple objective."""

from __future__ import annotations

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.denoiser import Denoiser, RawOutput
from difflab.noise import Noise
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.time_samplers import TimeSampler
from difflab.objectives.weightings import Weighting
from difflab.process import perturb, snr
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Losses


class Simple(Objective[Denoiser], SquaredError):
    """w(snr_t) |F - target|^2, mean over pixels (L_simple of Ho et al. 2020, eq. 14, for F = eps and w = 1).

    Args:
        time_sampler: How t is drawn.
        weighting: w.
    """

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting):
        self.time_sampler = time_sampler
        self.weighting = weighting

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        return self.between(denoiser, x_0, noise.normal("eps", tuple(x_0.shape[1:])).to(x_0), cond, noise)

    def between(self, denoiser: Denoiser, x_0: Tensor, eps: Tensor, cond: Condition, noise: Noise) -> Losses:
        """The losses on the way between images and the noise that goes with each.

        Args:
            denoiser: What is trained.
            x_0: The images, [B, C, *size].
            eps: The noise of each.
            cond: Their condition.
            noise: The source of the times.
        """
        t, importance = self.time_sampler(noise, denoiser.schedule)
        raw = denoiser.raw(perturb(x_0, eps, denoiser.schedule(t)), t, cond)
        loss = self.error(raw, x_0, eps)
        return Losses(importance.to(loss) * loss, t, {"loss": loss})

    def error(self, raw: RawOutput, x_0: Tensor, eps: Tensor) -> Float[Tensor, " b"]:
        """The weighted mean squared error of what the network said, per example."""
        square = ((raw.F - raw.target(x_0, eps)) ** 2).flatten(1).mean(1)
        return self.weighting(snr(raw.level), raw.c.c_out).to(square) * square

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.weighting(snr(schedule(t)), c_out) / c_out**2

    def check(self, denoiser: Denoiser) -> None:
        self.time_sampler.check(denoiser.schedule)
        if denoiser.variance.channels:
            raise ValueError(
                f"the simple objective does not train the variance that {type(denoiser.variance).__name__} reads from the network: "
                "use objective=hybrid or vlb, or variance=fixed_small or fixed_large"
            )
