"""InstanceNorm++ of NCSN: each channel of an image by itself, and what its mean was among those of the others.

Song and Ermon 2019 (arXiv 1907.05600, appendix A.1): normalising each channel alone forgets how bright they were to each other, which
shifts colours. So the means m_k of the channels, standardised over the channels, come back with a weight of their own:

    gamma_k ((h - m_k) / s_k + alpha_k (m_k - mean(m)) / std(m)) + beta_k

with s_k the standard deviation of channel k over its pixels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.network import zeroed

_EPS = 1e-5


def instance_normalised(
    h: Float[Tensor, "b c *hw"], gamma: Float[Tensor, "n c"], alpha: Float[Tensor, "n c"], beta: Float[Tensor, "n c"]
) -> Float[Tensor, "b c *hw"]:
    """InstanceNorm++, in float32 at least.

    Args:
        h: The image.
        gamma: Factor of each channel, for each image or for all.
        alpha: Weight of the standardised mean.
        beta: What is added.
    """
    wide = h.to(torch.promote_types(h.dtype, torch.float32))
    axes = tuple(range(2, h.ndim))
    means = wide.mean(axes)
    var = wide.var(axes, correction=0)
    among = (means - means.mean(1, keepdim=True)) * torch.rsqrt(means.var(1, keepdim=True) + _EPS)
    gamma, alpha, beta = (value.to(wide) for value in (gamma, alpha, beta))
    scale = gamma * torch.rsqrt(var + _EPS)
    shift = beta + gamma * alpha * among - scale * means
    shape = (*scale.shape, *[1] * len(axes))
    return torch.addcmul(shift.view(shape), wide, scale.view(shape)).to(h.dtype)


class LevelInstanceNorm(nn.Module):
    """InstanceNorm++ with (gamma, alpha, beta) of each noise level, and what a condition adds to them.

    Args:
        channels: Channels of the image.
        levels: How many levels are told apart: 1 for a norm that is told nothing (NCSNv2).
        emb_dim: Size of the condition's embedding; 0 for none.
    """

    def __init__(self, channels: int, levels: int, emb_dim: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(levels, 3 * channels))
        self.told = zeroed(nn.Linear(emb_dim, 3 * channels)) if emb_dim else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """gamma and alpha are near 1, beta is 0."""
        gamma_and_alpha, beta = self.weight.detach().split(
            [self.weight.shape[1] // 3 * 2, self.weight.shape[1] // 3], 1
        )
        nn.init.normal_(gamma_and_alpha, 1.0, 0.02)
        nn.init.zeros_(beta)

    def forward(self, h: Float[Tensor, "b c *hw"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c *hw"]:
        """The normalised image.

        Args:
            h: The image.
            emb: Which level it is of, a one among `levels` numbers, and then the condition's embedding.
        """
        level, told = emb.split([len(self.weight), emb.shape[1] - len(self.weight)], 1)
        values = level @ self.weight
        if self.told is not None:
            values = values + self.told(told)
        return instance_normalised(h, *values.chunk(3, dim=1))


class AdaptiveInstanceNorm(nn.Module):
    """InstanceNorm++ with [gamma - 1, alpha, beta] = Linear(emb): conditional instance normalisation as a norm of the UNet.

    Args:
        channels: Channels of the image.
        emb_dim: Size of the (activated) embedding of time and condition.
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.linear = nn.Linear(emb_dim, 3 * channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        gamma, alpha, beta = self.linear(emb).chunk(3, dim=1)
        return instance_normalised(h, 1 + gamma, alpha, beta)
