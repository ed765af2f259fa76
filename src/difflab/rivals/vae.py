"""The variational autoencoder (Kingma and Welling 2013, arXiv 1312.6114), with a scale of its Gaussian that it learns."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.likelihoods import HasBits
from difflab.networks import Network
from difflab.networks.layers import BigGANResample, GroupNorm
from difflab.noise import Noise
from difflab.objectives import Objective
from difflab.process import discretized_normal_log_likelihood, normal_kl
from difflab.rivals.generator import BLOCK, Embedders, Generator, embedding, halved, nothing, told
from difflab.types import Condition, ImageSize, Losses, Prediction


class VAE(Generator, HasBits):
    """p(x_0 | z) = N(decoder(z), s^2) of 8-bit grey levels, with one learned s for all pixels; q(z | x_0) is normal and diagonal.

    z is standard normal. An image is drawn as the mean of p(x_0 | z). A learned s weighs both terms of the bound
    against each other without a hand-set beta (sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202).

    Args:
        network: The decoder.
        encoder: image, cond -> mean and log variance of each number of z, [B, 2 C H W].
    """

    def __init__(self, network: Network, encoder: Network):
        super().__init__(network)
        numbers = 2 * math.prod(self.image_shape)
        if encoder.out_channels != numbers:
            raise ValueError(
                f"the encoder puts out {encoder.out_channels} numbers, and mean and variance of z are {numbers}: set "
                f"module.denoiser.encoder.out_channels={numbers}"
            )
        self.encoder = encoder
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Prediction:
        return Prediction(self.made(x_t, cond))

    def parts(
        self, x_0: Float[Tensor, "b c h w"], cond: Condition, noise: Noise
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """The two terms of the bound with one draw of z, in bits per dimension: KL(q(z | x_0) || p(z)), and -log2 p(x_0 | z)."""
        shape = tuple(x_0.shape[1:])
        mean, log_var = self.encoder(x_0, x_0.new_zeros(len(x_0)), cond).unflatten(1, (2, *shape)).unbind(1)
        z = mean + torch.exp(0.5 * log_var) * noise.normal("z", shape).to(mean)
        zero = torch.zeros((), dtype=mean.dtype, device=mean.device)
        kl = normal_kl(mean, log_var, zero, zero)
        log_p = discretized_normal_log_likelihood(x_0, self.made(z, cond), self.log_scale)
        return per_dimension(kl), per_dimension(-log_p)

    def bits(self, x_0: Tensor, cond: Condition, noise: Noise) -> Tensor:
        """The evidence bound, with one draw of z."""
        kl, reconstruction = self.parts(x_0, cond, noise)
        return kl + reconstruction


def per_dimension(nats: Tensor) -> Tensor:
    """Bits per dimension, [B], of nats of each number."""
    return nats.flatten(1).mean(1) / math.log(2)


class EvidenceBound(Objective[VAE]):
    """-log2 p(x_0) <= KL(q(z | x_0) || p(z)) - E log2 p(x_0 | z), per dimension (Kingma and Welling 2013, eq. 3)."""

    def __call__(self, model: VAE, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        kl, reconstruction = model.parts(x_0, cond, noise)
        total = kl + reconstruction
        return Losses(total, None, {"loss": total, "kl": kl, "reconstruction": reconstruction})

    def check(self, model: VAE) -> None:
        pass


class Encoder(Network):
    """An image becomes a vector: `ToImage` the other way round.

    Args:
        image_size: As of `ToImage`.
        in_channels: Channels of the image.
        out_channels: Numbers of the vector.
        embedders: Of the condition.
        width: As of `ToImage`.
        depth: As of `ToImage`.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        embedders: Embedders,
        width: int,
        depth: int = 1,
    ):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        height, breadth = halved(image_size)
        self.embedders = embedding(embedders)
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            [*(BLOCK(width, width) for _ in range(depth)), BigGANResample().down(width, BLOCK)]
            + [BLOCK(width if i == 0 else 2 * width, 2 * width) for i in range(depth)]
        )
        self.norm, self.last = GroupNorm(2 * width), nn.Linear(2 * width * height * breadth, out_channels)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        about, h = told(self.embedders, cond, nothing(x)), self.first(x)
        for block in self.blocks:
            h = block(h, about)
        return self.last(F.silu(self.norm(h).to(h.dtype)).flatten(1))
