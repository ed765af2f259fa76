"""Random changes of training images that leave their distribution meaningful."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from difflab.noise import Noise


class Augmentation(ABC):
    """images [B, C, H, W] -> images of the same shape and type, random through `noise` alone: what happens to image number n
    depends on (seed, n), not on the batch, the worker or the process it is in."""

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
    """A square part of each image, its side uniform in [min_share, 1] of the whole and its place uniform, enlarged to the size of the
    image (bilinear).

    ADM's classifiers are trained on such parts with min_share = 0.8 (Dhariwal and Nichol 2021, appendix H). Their code cuts them from
    the original files and so enlarges nothing; here images have their size before anything random happens to them.

    min_share   smallest side of a part, as a share of the image's
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
