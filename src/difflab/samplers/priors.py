"""Where a walk begins, other than with the noise of its first time."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.sampler import NormalPrior, Prior
from difflab.schedules import NoiseSchedule

__all__ = ["NormalPrior", "Prior", "UniformPrior"]


class UniformPrior(Prior):
    """alpha u with each number of u uniform from -1 to 1, black to white (Song and Ermon 2019, section 5: uniform on [0, 1])."""

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        return schedule(t).alpha.to(noise.number.device) * (2 * noise.uniform("x_T", shape) - 1)
