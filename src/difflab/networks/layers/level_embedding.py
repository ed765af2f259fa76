"""The noise on the small image as a vector that is added to the time embedding (Cascaded Diffusion, arXiv 2106.15282, section 4)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.time_embedding import TimeEmbedding
from difflab.networks.layers.zero import zeroed
from difflab.types import Condition

SINUSOIDS = 128


class LevelEmbedding(nn.Module):
    """Linear(SiLU(TimeEmbedding(scale level))), the last layer of which begins at zero: the network begins as one that is not told.

    scale  levels of [0, 1] become as far apart as the times of so many steps
    dim    of the embedding
    """

    def __init__(self, scale: float, dim: int):
        super().__init__()
        self.scale = scale
        self.embedding = TimeEmbedding(SINUSOIDS, dim)
        self.output = zeroed(nn.Linear(dim, dim))

    def forward(self, cond: Condition) -> Float[Tensor, "b e"]:
        if cond.level is None:
            raise ValueError(
                "the network was built to be told how much noise is on the small image, but the condition does not say: choose an "
                "augmentation of it, such as conditioning/augmentation@conditioning.low_resolution.augmentation=added_noise, or leave "
                "the embedder `level` out"
            )
        return self.output(F.silu(self.embedding(self.scale * cond.level)))
