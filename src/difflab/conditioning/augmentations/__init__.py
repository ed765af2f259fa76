"""Noise on the small image (conditioning augmentation)."""

from difflab.conditioning.augmentations.added_noise import AddedNoise
from difflab.conditioning.augmentations.augmentation import Augmentation
from difflab.conditioning.augmentations.forward_noise import ForwardNoise
from difflab.conditioning.augmentations.unchanged import Unchanged

__all__ = ["AddedNoise", "Augmentation", "ForwardNoise", "Unchanged"]
