"""Super-resolution: the model is told a small form of the image (SR3, arXiv 2104.07636; Improved DDPM, arXiv 2102.09672, section 5)."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from difflab.conditioning.augmentations import Augmentation
from difflab.conditioning.conditioning import Conditioning
from difflab.conditioning.shrinks import Shrink
from difflab.noise import Noise
from difflab.types import Condition, GivenImage


class LowResolution(Conditioning):
    """The small image as a condition: cond.image = augmentation(shrink(x_0)), [B, C, size, size] in [-1, 1] before the augmentation.

    Args:
        size: Side of the small image in pixels.
        shrink: How it is made; Improved DDPM and ADM: Area, SR3: Bicubic.
        augmentation: Noise that is put on it, so that the model bears with small images that are not quite like real ones: those that
            another model has drawn. Unchanged for none.
        channels: Channels of the images.
    """

    def __init__(self, size: int, shrink: Shrink, augmentation: Augmentation, channels: int):
        if size < 1:
            raise ValueError(f"conditioning.low_resolution.size={size}: the small image has a pixel at least")
        self.size = size
        self.shrink = shrink
        self.augmentation = augmentation
        self.image_channels = channels

    def __call__(self, cond: Condition, x_0: Float[Tensor, "b c h w"], noise: Noise) -> Condition:
        image, level = self.augmentation(self.small(x_0), noise)
        return cond.having(image=GivenImage(image, level))

    def small(self, x_0: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c s s"]:
        """The small form of images, without noise.

        Raises:
            ValueError: The images are no larger than the small form.
        """
        if x_0.shape[-1] <= self.size:
            raise ValueError(
                f"conditioning.low_resolution.size={self.size}: images of {x_0.shape[-1]} pixels cannot be made smaller to that"
            )
        return self.shrink(x_0, self.size)

    def given(self, cond: Condition, image: Float[Tensor, "b c s s"], noise: Noise) -> Condition:
        """The condition for enlarging these small images: in sampling they get the augmentation's fixed amount of noise."""
        image, level = self.augmentation.in_sampling(image, noise)
        return cond.having(image=GivenImage(image, level))


def low_resolution_of(conditionings: Mapping[str, Conditioning]) -> LowResolution | None:
    """The conditioning that makes the small image, if there is one.

    Raises:
        ValueError: There are several.
    """
    found = [part for part in conditionings.values() if isinstance(part, LowResolution)]
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} conditionings make a small image, and the model is told one: choose one of them"
        )
    return found[0] if found else None
