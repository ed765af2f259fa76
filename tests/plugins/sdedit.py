"""SDEdit (Meng et al. 2022, arXiv 2108.01073, algorithm 1): an image is noised to a time, and any sampler walks down from there."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.data import ImageDataset
from difflab.noise import Noise
from difflab.process import perturb
from difflab.samplers import Prior, Sampler, Step, Walk
from difflab.samplers.grids import Grid
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma


class Below(Grid):
    """The times of a sampler that begins somewhere else."""

    def __init__(self, sampler: Sampler, begin: float):
        self.sampler, self.begin = sampler, begin

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        return self.sampler.chain(schedule, self.begin).times


class Noised(Prior):
    """Given images, with noise."""

    def __init__(self, images: ImageDataset):
        self.images = images

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        numbers = (noise.number % len(self.images)).tolist()
        x_0 = self.images.images(numbers).to(noise.number.device).double() / 127.5 - 1
        return perturb(x_0, noise.normal("x_T", shape), AlphaSigma(*(value.expand(len(x_0)) for value in schedule(t))))


class SDEdit(Sampler):
    """A guide image in place of noise.

    Args:
        sampler: Walks down.
        images: The guides: image number n is the n-th that is drawn, edited.
        begin: The time to which they are noised; the lower, the more they stay as they are.
    """

    def __init__(self, sampler: Sampler, images: ImageDataset, begin: float):
        self.sampler = sampler
        self.grid, self.prior = Below(sampler, begin), Noised(images)

    def steps(self, walk: Walk) -> Step:
        return self.sampler.steps(walk)
