"""The mean over the pixels that become one."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from difflab.conditioning.shrinks.shrink import Shrink


class Area(Shrink):
    """F.interpolate(mode="area"), with which OpenAI's upsamplers were trained (guided-diffusion and improved-diffusion,
    scripts/super_res_train.py): the mean of the n x n pixels that become one."""

    def __call__(self, images: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]:
        return F.interpolate(images, (size, size), mode="area")
