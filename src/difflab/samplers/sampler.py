"""What a sampler is: what it begins with, what its steps need, and one step after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Shaped
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.churn import Churn
from difflab.samplers.grids import Grid
from difflab.samplers.priors import NormalPrior, Prior
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import NORMAL_NOISE, Condition, DenoiseFn, Prediction


class SamplerState(NamedTuple):
    """Where a walk is between two steps. Nothing else is remembered, so an earlier state can be gone back to, and gone on from.

    Attributes:
        x: The images, [B, C, *size], divided by `scale`.
        t: Their time; 0 is the end of the walk.
        step: Number of the step that comes next, N .. 1, which is also that of t among the chain's times; 0 at the end.
        scale: By what the images are divided: samplers along the noise level walk in x_t / alpha_t.
        x0: The clean images that the denoiser saw in the last step; None before the first.
        memory: What the sampler itself wants to know of the steps before, as past predictions; None before the first.
    """

    x: Tensor
    t: float
    step: int
    scale: float = 1.0
    x0: Tensor | None = None
    memory: Any = None

    @property
    def image(self) -> Tensor:
        """x_t, [B, C, *size]."""
        return self.x if self.scale == 1 else self.scale * self.x

    def over(self, alpha: float) -> Tensor:
        """x_t / alpha."""
        return self.x if self.scale == alpha else self.image / alpha

    def with_image(self, x_t: Tensor) -> SamplerState:
        """The same place with other images, as where a known part of them is put back. What the sampler remembers stays."""
        return self._replace(x=x_t, scale=1.0)


Step: TypeAlias = Callable[[SamplerState, Noise], SamplerState]
"""A state and the noise of the images -> the state after one step."""


class SamplerStep(NamedTuple):
    """Where a trajectory is after a step.

    Attributes:
        t: The time that was left.
        x_s: The image at the time that was reached, [B, C, H, W].
        x0: The clean image that the denoiser saw at t, [B, C, H, W].
    """

    t: float
    x_s: Tensor
    x0: Tensor


class Moment(NamedTuple):
    """What there is to see of a walk at one of its times.

    Attributes:
        t: The time; 0 at the end.
        x_t: The image then, [B, C, *size].
        x0: The clean image that the denoiser saw in it, [B, C, *size]; at the end the sample itself.
    """

    t: float
    x_t: Tensor
    x0: Tensor


Onlooker: TypeAlias = Callable[[Moment], None]
"""Is shown every moment of a walk, from noise to sample. It changes nothing and asks no network."""


@dataclass(frozen=True)
class Walk:
    """What the steps of a sampler are planned for: one batch of images, on its way down one schedule.

    Attributes:
        denoise: The denoiser, guided or not.
        schedule: The model's.
        chain: The times to be visited, 0 = t_0 < .. < t_N, with the levels there; of a sampler without a grid the two ends alone.
        cond: What the images are drawn for.
        like: The images, of which only their number, shape, type and device are of interest.
    """

    denoise: DenoiseFn
    schedule: NoiseSchedule
    chain: Chain
    cond: Condition
    like: Tensor

    def start(self, x_t: Tensor, step: int | None = None) -> SamplerState:
        """Images at one of the chain's times, of which nothing is known of how they came there.

        Args:
            x_t: The images, [B, C, *size].
            step: The time's number; None for the chain's last.
        """
        i = len(self.chain) if step is None else step
        return SamplerState(x_t, float(self.chain.times[i]), i)

    def predict(self, x_t: Tensor, t: float) -> Prediction:
        """What the denoiser says of images that are all at one time."""
        return self.denoise(x_t, torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device), self.cond)


class Sampler(ABC):
    """(denoise, schedule, x_T, cond, noise) -> x_0, step by step down to t = 0.

    A subclass says how its `steps` are made. The noise of each step comes from `noise` by image, so an image does not depend on those that
    it is sampled with. Whoever wants more than the sample steps by hand, from any image at any time, and may go back:

        walk = sampler.walk(denoise, schedule, x_t, cond, begin=0.5)
        step, state = sampler.steps(walk), walk.start(x_t)
        while state.t > 0:
            state = step(state, noise)

    Attributes:
        grid: The times; None for a sampler that finds its own.
        prior: What x_T is drawn from.
        churn: Noise that is added on the way down, and removed by the step that follows; none by default.
        process: What it undoes, in a word: that of the models which it draws from.
        one_step: Whether it leads from noise to the image at once, whatever the grid, so that there is nothing to look at in between.
    """

    grid: Grid | None = None
    prior: Prior = NormalPrior()
    churn: Churn = Churn(s_churn=0.0, s_min=0.0, s_max=0.0, s_noise=1.0)
    process: str = NORMAL_NOISE
    one_step: bool = False

    @abstractmethod
    def steps(self, walk: Walk) -> Step:
        """One step of this walk, as a function of where it is. What all steps need is worked out here, once.

        Args:
            walk: What is walked.

        Raises:
            ValueError: The sampler cannot walk down such a schedule; one line says why, and what to do.
        """

    def check(self, schedule: NoiseSchedule, process: str = NORMAL_NOISE, shape: tuple[int, ...] = (1, 8, 8)) -> None:
        """Checks that the sampler can walk down a schedule, by planning to.

        Args:
            schedule: The model's.
            process: The model's.
            shape: Of an image, (C, *size).

        Raises:
            ValueError: It cannot.
        """
        if process != self.process:
            raise ValueError(
                f"{type(self).__name__} undoes {self.process}, and this is a model of {process}: choose a sampler of {process}"
            )
        self.steps(Walk(_unasked, schedule, self.chain(schedule), Condition(), torch.zeros(1, *shape)))

    def wanders(self, schedule: NoiseSchedule) -> bool:
        """Whether there is something between noise and image that could be looked at; not where one step leads from one to the other."""
        return not self.one_step and (self.grid is None or len(self.chain(schedule)) > 1)

    def chain(self, schedule: NoiseSchedule, begin: float | None = None) -> Chain:
        """The times of a walk down a schedule.

        Args:
            schedule: The model's.
            begin: The time at which it begins; None for the grid's last. The grid's times below it follow.
        """
        times = torch.tensor([0.0, 1.0], dtype=torch.float64) if self.grid is None else self.grid(schedule)
        if begin is not None:
            if not 0 < begin <= 1:
                raise ValueError(f"a walk begins at a time above 0 and at most 1, not at {begin:g}")
            times = torch.cat([times[times < begin - 1e-9], times.new_tensor([begin])])
        return Chain(schedule, times)

    def walk(
        self, denoise: DenoiseFn, schedule: NoiseSchedule, x_t: Tensor, cond: Condition, begin: float | None = None
    ) -> Walk:
        """What `steps` want.

        Args:
            denoise: The denoiser, guided or not.
            schedule: The model's.
            x_t: The images with which it begins, [B, C, *size].
            cond: What they are drawn for.
            begin: Their time; None for the grid's last.
        """
        return Walk(denoise, schedule, self.chain(schedule, begin), cond, x_t)

    def initial_noise(self, schedule: NoiseSchedule, shape: tuple[int, ...], noise: Noise) -> Tensor:
        """x_T, what a walk begins with: [B, *shape], float64 where it is no whole number.

        Args:
            schedule: The model's.
            shape: Of an image, (C, *size).
            noise: That of the images.
        """
        return self.prior(schedule, self.chain(schedule).times[-1:], shape, noise)

    def trajectory(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Shaped[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
    ) -> Iterator[SamplerStep]:
        """The steps of a whole walk, for those who look on; the last step's x_s is the sample.

        Args:
            denoise: The denoiser, guided or not.
            schedule: The model's.
            x_T: What it begins with, see `initial_noise`.
            cond: What the images are drawn for.
            noise: That of the steps, by image.
        """
        walk = self.walk(denoise, schedule, x_T, cond)
        step, state = self.steps(walk), walk.start(x_T)
        while state.t > 0:
            left, state = state.t, step(state, noise)
            x_0 = state.x if state.x0 is None else state.x0
            yield SamplerStep(left, state.image, x_0)

    @torch.no_grad()
    def __call__(
        self,
        denoise: DenoiseFn,
        schedule: NoiseSchedule,
        x_T: Shaped[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
        onlooker: Onlooker | None = None,
    ) -> Shaped[Tensor, "b c *size"]:
        """Samples from x_T, which an onlooker may watch as they emerge."""
        x = x_T
        for step in self.trajectory(denoise, schedule, x_T, cond.kept(), noise):
            if onlooker is not None:
                onlooker(Moment(step.t, x, step.x0))
            x = step.x_s
        if onlooker is not None:
            onlooker(Moment(0.0, x, x))
        return x


def _unasked(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
    raise RuntimeError("a sampler plans its steps without asking the denoiser")


def by_step(columns: Iterable[Shaped[Tensor, " n"]], images: Tensor) -> list[tuple[Shaped[Tensor, " b"], ...]]:
    """For each of N steps its value of each column, said of every image [B, C, H, W].

    Coefficients are the same for all images of a batch and known before the first step. Computed for all steps at once, on the CPU, they
    cost a step nothing but views, in place of some thirty operations on a handful of numbers; and no GPU is asked for a number, which would
    make everything wait for it.

    Args:
        columns: One value per step each, [N].
        images: The images, of which only their number and device are of interest.

    Returns:
        For each step a value [B] of each column.
    """
    rows = (column.to(images.device)[:, None].expand(-1, len(images)).unbind() for column in columns)
    return list(zip(*rows, strict=True))
