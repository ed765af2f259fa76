"""Images from seeds."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from difflab.noise import ImageNoise, Noise
from difflab.samplers.sampler import Onlooker, Sampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, GivenImage, Label


def draw(
    denoise: DenoiseFn,
    schedule: NoiseSchedule,
    sampler: Sampler,
    shape: tuple[int, ...],
    seeds: Int[Tensor, " b"],
    cond: Condition,
    dtype: torch.dtype = torch.float32,
    onlooker: Onlooker | None = None,
) -> Shaped[Tensor, "b c *size"]:
    """One image [C, H, W] per seed, on the seeds' device.

    The initial noise and that of every step are functions of the image's own seed, so it does not matter which images are drawn together or
    on which process. An image that enlarges another has noise of its own: the small one may have been drawn from the same seed.

    Args:
        denoise: The denoiser, guided or not.
        schedule: The model's.
        sampler: How to get from noise to an image.
        shape: (C, H, W) of an image.
        seeds: One per image.
        cond: What the images are drawn for.
        dtype: Type of the images, but for those of whole numbers.
        onlooker: Is shown the walk.
    """
    return draw_from(noise_of(shape, seeds, cond), denoise, schedule, sampler, shape, cond, dtype, onlooker)


def draw_from(
    noise: Noise,
    denoise: DenoiseFn,
    schedule: NoiseSchedule,
    sampler: Sampler,
    shape: tuple[int, ...],
    cond: Condition,
    dtype: torch.dtype = torch.float32,
    onlooker: Onlooker | None = None,
) -> Shaped[Tensor, "b c *size"]:
    """The same from any noise, of which x_T and the noise of the steps are made.

    Args:
        noise: That of the images.
        denoise: The denoiser, guided or not.
        schedule: The model's.
        sampler: How to get from noise to an image.
        shape: (C, H, W) of an image.
        cond: What the images are drawn for.
        dtype: Type of the images, but for those of whole numbers.
        onlooker: Is shown the walk.
    """
    x_T = sampler.initial_noise(schedule, shape, noise)
    x_T = x_T.to(dtype) if x_T.is_floating_point() else x_T
    return sampler(denoise, schedule, x_T, cond, noise, onlooker)


def noise_of(shape: tuple[int, ...], seeds: Int[Tensor, " b"], cond: Condition) -> ImageNoise:
    """The noise from which the images of these seeds are drawn for a condition."""
    return ImageNoise(_stream(shape, cond), seeds)


def balanced_labels(seeds: Int[Tensor, " b"], num_classes: int) -> Condition:
    """The class i mod K for image i, so any run of seeds is balanced; no label where there are no classes."""
    return Condition(label=Label(seeds % num_classes)) if num_classes else Condition()


def shares(count: int, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
    """The seeds 0 .. count - 1 in batches for one process.

    Every process gets the same number of equally large batches (under sharded strategies each forward call is a collective one); seeds from
    `count` on are padding.

    Args:
        count: How many seeds all processes draw together.
        batch_size: At most so many in a batch.
        rank: Number of this process.
        world_size: How many processes there are.
    """
    batch_size = min(batch_size, -(-count // world_size))
    for start in range(0, count, batch_size * world_size):
        yield torch.arange(start + rank * batch_size, start + (rank + 1) * batch_size)


def _stream(shape: tuple[int, ...], cond: Condition) -> int:
    """Which of the noises of a seed an image gets: 0; where a smaller image is enlarged the height, which differs from stage to stage."""
    return 0 if GivenImage.of(cond) is None else shape[1]
