"""No conditioning augmentation."""

from jaxtyping import Float
from torch import Tensor

from difflab.conditioning.augmentations.augmentation import Augmentation
from difflab.noise import Noise


class Unchanged(Augmentation):
    """The small image as it is: ADM's, Improved DDPM's and SR3's upsamplers."""

    @property
    def described(self) -> str:
        return "none"

    def __call__(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, None]:
        return image, None

    def in_sampling(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, None]:
        return image, None
