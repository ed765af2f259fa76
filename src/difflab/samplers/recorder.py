"""What is kept of a walk for those who look at it afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from difflab.samplers.sampler import Moment
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma


@dataclass(frozen=True)
class Moments:
    """K moments of a walk, from noise to the sample.

    Attributes:
        t: Their times; the last one is 0.
        x_t: The images then, [K, B, C, *size], in the model's own units.
        x0: What the denoiser saw in them, of the same shape. At the end both are the sample.
    """

    t: Float64[Tensor, " k"]
    x_t: Shaped[Tensor, "k b c *size"]
    x0: Shaped[Tensor, "k b c *size"]

    def __len__(self) -> int:
        return len(self.t)

    def select(self, index: Tensor) -> Moments:
        """Some of them."""
        return Moments(self.t[index], self.x_t[index], self.x0[index])

    def spread(self, count: int) -> Moments:
        """At most so many of them, evenly, both ends among them."""
        if count >= len(self):
            return self
        return self.select(torch.linspace(0, len(self) - 1, count).round().long())

    def level(self, schedule: NoiseSchedule) -> AlphaSigma:
        """Alpha and sigma at their times, [K]; at the end there is no noise, also where the schedule keeps a rest of it."""
        alpha, sigma = (value.detach().cpu().clone() for value in schedule(self.t))
        alpha[self.t == 0], sigma[self.t == 0] = 1.0, 0.0
        return AlphaSigma(alpha, sigma)

    def at_unit_scale(self, schedule: NoiseSchedule) -> Shaped[Tensor, "k b c *size"]:
        """X_t for the eye: divided by sqrt(alpha^2 + sigma^2) where a process that does not keep the variance takes that above 1."""
        if not self.x_t.is_floating_point():
            return self.x_t
        scale = torch.hypot(*self.level(schedule)).clamp(min=1).reshape(-1, *[1] * (self.x_t.ndim - 1))
        return (self.x_t / scale).to(self.x_t.dtype)


class Recorder:
    """Keeps moments of a walk as they pass, evenly over its steps, of which nobody has to know beforehand how many there are.

    It is an `Onlooker`. Once it has too many it drops every second one, and from then on takes half as many. All stays on the device,
    so that no step waits for it.

    Args:
        images: How many of a batch, the first ones.
        moments: At least so many are kept of a walk that has them, and at most about twice as many.
    """

    def __init__(self, images: int, moments: int):
        if images < 1 or moments < 2:
            raise ValueError(f"a walk of {images} images is seen at {moments} moments: at least 1 and 2")
        self._images = images
        self._limit = 2 * (moments - 1)
        self._kept: list[Moment] = []
        self._last: Moment | None = None
        self._every = 1
        self._passed = 0

    def __call__(self, moment: Moment) -> None:
        if moment.t == 0:
            self._last = self._of_some(moment)
            return
        if self._passed % self._every == 0:
            self._kept.append(self._of_some(moment))
            if len(self._kept) > self._limit:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._passed += 1

    @property
    def is_done(self) -> bool:
        """Whether a walk has come to its end before it."""
        return self._last is not None

    @property
    def moments(self) -> Moments:
        """What was kept, on the CPU.

        Raises:
            RuntimeError: The walk has not come to its end.
        """
        if self._last is None:
            raise RuntimeError("the walk has not come to its end: there is nothing to be shown of it yet")
        found = [*self._kept, self._last]
        times = torch.tensor([moment.t for moment in found], dtype=torch.float64)
        x_t, x0 = (torch.stack([getattr(moment, name) for moment in found]).cpu() for name in ("x_t", "x0"))
        return Moments(times, x_t, x0)

    def _of_some(self, moment: Moment) -> Moment:
        """Of the first images, without the memory of the others."""
        return Moment(moment.t, *(value[: self._images].detach().clone() for value in (moment.x_t, moment.x0)))
