"""Random changes of training images that leave their distribution meaningful."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from difflab.noise import Noise


class Augmentation(ABC):
    """images [B, C, H, W] -> images of the same shape and type, random through `noise` alone: what happens to image number n
    depends on (seed, n), not on the batch, the worker or the process it is in."""

    @abstractmethod
    def __call__(self, images: Tensor, noise: Noise) -> Tensor: ...


class HorizontalFlip(Augmentation):
    """Mirrors every second image, on average."""

    def __call__(self, images: Tensor, noise: Noise) -> Tensor:
        flipped = noise.uniform("flip") < 0.5
        return torch.where(flipped[:, None, None, None], images.flip(-1), images)
