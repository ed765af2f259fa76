"""The stream of training images: an order by the seed, noise by their number, and augmentations.

Training image number n = 0, 1, 2, ... (never reset) is the data set's image order_e(n mod N) in epoch e = n div N; `order_e` is a
permutation that depends on (seed, e) alone. Optimizer step k uses the numbers kB .. (k+1)B - 1, B being the global batch. With W
processes and A accumulated micro-batches of b = B / (W A) images, micro-batch m of process r takes

    kB + (m W + r) b,  ...,  kB + (m W + r) b + b - 1.

So a step sees the same images on any number of processes, and nothing needs to be saved but the number of steps done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.noise import ImageNoise, Noise
from difflab.types import Batch, Condition


class Augmentation(ABC):
    """Images [B, C, H, W] -> images of the same shape and type, random through `noise` alone.

    It is applied with the same noise to what of the condition lies over the pixels (`ConditionPart.over_pixels`), whatever its channels.

    What happens to image number n depends on (seed, n), not on the batch, the worker or the process it is in.
    """

    @property
    def described(self) -> str:
        """What it does, in a few words for the lines that a training begins with."""
        return type(self).__name__

    @abstractmethod
    def __call__(self, images: Tensor, noise: Noise) -> Tensor: ...


class HorizontalFlip(Augmentation):
    """Mirrors every second image, on average."""

    @property
    def described(self) -> str:
        return "half of them mirrored"

    def __call__(self, images: Tensor, noise: Noise) -> Tensor:
        flipped = noise.uniform("flip") < 0.5
        # whole rows of both: torch.where goes through all elements of a byte tensor and takes six times as long
        both = torch.cat([images, images.flip(-1)])
        return both.index_select(0, torch.arange(len(images), device=flipped.device) + len(images) * flipped)


class RandomCrop(Augmentation):
    """A square part of each image, enlarged to the size of the image (bilinear).

    Its side is uniform in [min_share, 1] of the whole and its place uniform. ADM's classifiers are trained on such parts with min_share =
    0.8 (Dhariwal and Nichol 2021, appendix H). Their code cuts them from the original files and so enlarges nothing; here images have their
    size before anything random happens to them.

    Args:
        min_share: Smallest side of a part, as a share of the image's.
    """

    def __init__(self, min_share: float = 0.8):
        if not 0 < min_share <= 1:
            raise ValueError(
                f"min_share = {min_share} is the share of an image's side that is left at least: in (0, 1]"
            )
        self.min_share = min_share

    @property
    def described(self) -> str:
        return f"cropped to {self.min_share:g} of a side at least"

    def __call__(self, images: Tensor, noise: Noise) -> Tensor:
        share = self.min_share + (1 - self.min_share) * noise.uniform("crop size")
        # corners of the image are at -1 and 1: a part of this share can be moved by 1 - share to either side
        shift = (2 * noise.uniform("crop place", (2,)) - 1) * (1 - share)[:, None]
        affine = torch.zeros(len(images), 2, 3, dtype=torch.float64, device=share.device)
        affine[:, 0, 0] = affine[:, 1, 1] = share
        affine[:, :, 2] = shift
        where = F.affine_grid(affine.float().to(images.device), list(images.shape), align_corners=False)
        cropped = F.grid_sample(images.float(), where, padding_mode="border", align_corners=False)
        return (cropped if images.is_floating_point() else cropped.round()).to(images.dtype)


def images_per_micro_batch(batch_size: int, world_size: int, accumulate: int) -> int:
    """b = B / (W A)."""
    micro, rest = divmod(batch_size, world_size * accumulate)
    if rest or micro < 1:
        raise DataError(
            f"data.batch_size={batch_size} is the global batch and must be a multiple of "
            f"processes x accumulated batches = {world_size} x {accumulate} = {world_size * accumulate}."
        )
    return micro


def accumulated_batches(batch_size: int, world_size: int, micro_batch: int) -> int:
    """A = B / (W b)."""
    if micro_batch < 1:
        raise DataError(f"data.micro_batch={micro_batch} must be at least 1 image")
    accumulate, rest = divmod(batch_size, world_size * micro_batch)
    if rest or accumulate < 1:
        share = batch_size // world_size
        fitting = [b for b in range(1, share + 1) if batch_size % (world_size * b) == 0]
        near = min(fitting, key=lambda b: abs(b - micro_batch), default=None)
        raise DataError(
            f"data.batch_size={batch_size} is the global batch and cannot be made of micro-batches of {micro_batch} images on "
            f"{world_size} processes: "
            + (f"data.micro_batch={near} fits" if near else f"it must be a multiple of {world_size}")
        )
    return accumulate


def epoch_order(seed: int, epoch: int, count: int) -> Int[Tensor, " n"]:
    """The order of `count` images in an epoch: a permutation, sorted by 53 random bits per image."""
    draws = ImageNoise(seed, torch.arange(count)).uniform("order", (2,), step=epoch)
    return torch.argsort(draws[:, 0] + draws[:, 1] / 2**32, stable=True)


class GlobalBatches:
    """The lists of image numbers that one process asks for, endlessly, starting with micro-batch `micro_batch` of step `step`."""

    def __init__(
        self,
        batch_size: int,
        world_size: int = 1,
        rank: int = 0,
        accumulate: int = 1,
        step: int = 0,
        micro_batch: int = 0,
    ):
        self.micro_size = images_per_micro_batch(batch_size, world_size, accumulate)
        self.stride = world_size * self.micro_size
        self.start = step * batch_size + micro_batch * self.stride + rank * self.micro_size

    def __iter__(self) -> Iterator[list[int]]:
        # B = A W b, so the first number of the next step follows that of the last micro-batch by the same stride
        start = self.start
        while True:
            yield list(range(start, start + self.micro_size))
            start += self.stride


class TrainingStream(Dataset[Batch]):
    """Image numbers -> their batch, images as the data set has them (uint8 for pixels).

    Args:
        dataset: The images.
        num_classes: Classes that the model is told; 0: it is told none, whether the data set has them or not.
        seed: Of the order and of the augmentations.
        augmentations: What is done to each image, in this order.
    """

    def __init__(self, dataset: ImageDataset, num_classes: int, seed: int, augmentations: Sequence[Augmentation] = ()):
        self.dataset = dataset
        self.num_classes = num_classes
        self.seed = seed
        self.augmentations = tuple(augmentations)
        self._orders: dict[int, Tensor] = {}

    def indices(self, number: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """The position in the data set of the images with these numbers."""
        epochs, places = number // len(self.dataset), number % len(self.dataset)
        needed = epochs.unique().tolist()
        known = self._orders
        self._orders = {e: known[e] if e in known else epoch_order(self.seed, e, len(self.dataset)) for e in needed}
        index = torch.empty_like(number)
        for epoch, order in self._orders.items():
            inside = epochs == epoch
            index[inside] = order[places[inside]]
        return index

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        """What the model is told of the data set's images with these numbers."""
        cond = self.dataset.condition(indices)
        return cond if self.num_classes else cond.having(label=None)

    def __getitem__(self, numbers: list[int]) -> Batch:
        number = torch.tensor(numbers)
        index, noise = self.indices(number), ImageNoise(self.seed, number)
        x_0, cond = self.dataset.images(index), self.condition(index)
        for augment in self.augmentations:
            x_0, cond = augment(x_0, noise), cond.warped(partial(augment, noise=noise))
        return Batch(x_0, cond, number)
