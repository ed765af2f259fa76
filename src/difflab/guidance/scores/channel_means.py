"""Images of a given brightness or colour."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor


class ChannelMeans:
    """-|mean over pixels - target|^2 / (2 std^2), a Gaussian on the mean of each channel.

    target   of each channel in [-1, 1], or one number for all
    std      how far from it is still good
    """

    def __init__(self, target: Sequence[float], std: float):
        if not std > 0:
            raise ValueError(f"std = {std} must be above 0")
        self.target = list(target)
        self.std = std

    def __call__(self, x_0: Float[Tensor, "b c h w"], /) -> Float[Tensor, " b"]:
        means = x_0.mean(dim=(2, 3))
        return -(means - means.new_tensor(self.target)).square().sum(dim=1) / (2 * self.std**2)
