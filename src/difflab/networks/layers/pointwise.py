"""A linear map of the channels of every pixel."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Pointwise(nn.Linear):
    """Linear(h[:, :, i, j]) for every pixel: [B, C, H, W] -> [B, D, H, W].

    Weights are those of a Linear, [D, C], as OpenAI's are but for an axis of length one. Computed as a convolution of one pixel, which
    leaves the image where it is: no tokens to copy out and back, and on CPUs for which torch's matrix products lag behind its
    convolutions (MKL on AMD) half the time.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return F.conv2d(input, self.weight[:, :, None, None], self.bias)
