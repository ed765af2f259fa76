"""Addition and GroupNorm: the embedding is added to the image before it is normalised (DDPM, arXiv 2006.11239; the
alternative to AdaGN in arXiv 2105.05233, table 3)."""

from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm


class AdditiveGroupNorm(nn.Module):
    """GroupNorm(h + Linear(emb)).

    channels  of the image
    emb_dim   of the (activated) embedding of time and condition
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.linear = nn.Linear(emb_dim, channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        return self.norm(h + self.linear(emb)[:, :, None, None].to(h.dtype)).to(h.dtype)
