"""The simple objective with noise that is chosen for its image."""

from __future__ import annotations

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.objectives.couplings import Coupling
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.simple import Simple
from difflab.objectives.time_samplers import TimeSampler
from difflab.objectives.weightings import Weighting
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Losses


class Coupled(Objective[Denoiser], SquaredError):
    """w(snr_t) |F - target|^2 as in `Simple`, where the noises of a batch are dealt out to its images by a coupling.

    Tong et al. 2023, arXiv 2302.00482, section 3.2. What an image learns depends on its batch mates, so the batch of a step is not divided.
    The noise no longer is independent of the image, so the flow, not the denoising distribution, is what is learned: draw by the equation
    of the flow, and not by ancestral steps. Classes are not looked at: noise prefers some of them over others, which x_1 ~ N(0, I) at
    sampling does not, so a conditional model is a little biased.

    Args:
        time_sampler: How t is drawn.
        weighting: w.
        coupling: Which noise goes to which image.
    """

    couples_images = True

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting, coupling: Coupling):
        self.time_sampler = time_sampler
        self.simple = Simple(time_sampler, weighting)
        self.coupling = coupling

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        eps = self.coupling(x_0, noise.normal("eps", tuple(x_0.shape[1:])).to(x_0), noise)
        return self.simple.between(denoiser, x_0, eps, cond, noise)

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.simple.x0_weight(schedule, t, c_out)

    def check(self, denoiser: Denoiser) -> None:
        self.simple.check(denoiser)
