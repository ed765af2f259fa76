"""Super-resolution: the small image is enlarged and given as further channels (SR3, arXiv 2104.07636; Improved DDPM and ADM)."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.networks.layers.resample import BilinearEnlargement, Enlargement
from difflab.networks.network import Network
from difflab.types import Condition, GivenImage


class SuperRes(Network):
    """The network F(x, time, cond) = UNet([x, enlarge(image)], time, cond).

    Args:
        unet: `UNet`, `SR3UNet`, or one of your own, with as many more input channels as the small image has.
        image_channels: Channels of the small image.
        enlarge: How it gets the size of x; ADM and Improved DDPM: bilinear, SR3: bicubic.
    """

    def __init__(self, unet: Network, image_channels: int, enlarge: Enlargement = BilinearEnlargement()):  # noqa: B008 - it has no state
        super().__init__()
        if not 0 < image_channels < unet.in_channels:
            raise ValueError(
                f"the UNet takes {unet.in_channels} channels, {image_channels} of which are said to be the small image's; "
                "in_channels of the UNet must be those of the image and of the small image together"
            )
        self.unet = unet
        self.image_size, self.out_channels = unet.image_size, unet.out_channels
        self.attention_places = unet.attention_places
        self.in_channels = unet.in_channels - image_channels
        self.condition_channels = image_channels
        self.enlarge = enlarge

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        small = GivenImage.of(cond)
        if small is None:
            raise ValueError("a super-resolution network needs the small image: Condition(image=GivenImage(...))")
        enlarged = self.enlarge(small.values.to(x.dtype), (x.shape[2], x.shape[3]))
        return self.unet(torch.cat([x, enlarged], dim=1), time, cond)
