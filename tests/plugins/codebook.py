"""An autoencoder with a codebook that is an average of what is encoded (arXiv 1711.00937, appendix A.1), trained without noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from difflab.objectives import Objective
from difflab.types import Losses


class Codebook(nn.Module):
    """K vectors, each the decayed mean of the encodings that were nearest to it.

    Args:
        size: K.
        channels: Of an encoding.
        decay: Of the means.
    """

    shares: Tensor
    sums: Tensor
    used: Tensor
    codes: Tensor
    copied_buffers = ("used",)

    def __init__(self, size: int, channels: int, decay: float = 0.9):
        super().__init__()
        self.decay = decay
        self.register_buffer("shares", torch.ones(size, dtype=torch.float64))
        self.register_buffer("sums", torch.linspace(-1, 1, size * channels, dtype=torch.float64).view(size, channels))
        self.register_buffer("used", torch.zeros(size))
        self.register_buffer("codes", self.sums.float(), persistent=False)

    def recompute_buffers(self) -> None:
        self.codes.copy_(self.sums / self.shares[:, None])

    def forward(self, h: Tensor) -> Tensor:
        flat = h.movedim(1, -1).flatten(0, -2)
        nearest = torch.cdist(flat, self.codes).argmin(1)
        if self.training:
            chosen = nn.functional.one_hot(nearest, len(self.codes)).double()
            with torch.no_grad():  # means over the examples: those of several processes have a mean, too
                self.shares.lerp_(chosen.mean(0), 1 - self.decay)
                self.sums.lerp_(chosen.T @ flat.double() / len(flat), 1 - self.decay)
                self.used.copy_(chosen.mean(0))
        found = self.codes[nearest].view(*h.movedim(1, -1).shape).movedim(-1, 1)
        return h + (found - h).detach()


class Quantized(nn.Module):
    """Encoder, codebook, decoder.

    Args:
        channels: Of the images.
        size: Of the codebook.
    """

    def __init__(self, channels: int, size: int = 8):
        super().__init__()
        self.encoder, self.codebook = nn.Conv2d(channels, 2, 4, 2, 1), Codebook(size, 2)
        self.decoder = nn.ConvTranspose2d(2, channels, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.codebook(self.encoder(x)))


class Reconstruction(Objective[Quantized]):
    """(x - x')^2, and the distance of encodings to their codes."""

    def __call__(self, model, x_0, cond, noise):
        h = model.encoder(x_0)
        code = model.codebook(h)
        model.codebook.recompute_buffers()
        loss = ((model.decoder(code) - x_0) ** 2).flatten(1).mean(1)
        commitment = ((h - code.detach()) ** 2).flatten(1).mean(1)
        return Losses(loss + 0.25 * commitment, None, {"loss": loss, "commitment": commitment})

    def check(self, model: Quantized) -> None:
        pass
