"""What contenders train on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.peers.architecture import Architecture

COUNT = 512


@dataclass(frozen=True)
class Images:
    """Random pixels: a step takes as long on them as on photographs.

    Attributes:
        pixels: [N, 3, H, W] uint8, in main memory.
        labels: [N] int64, or None.
    """

    pixels: Tensor
    labels: Tensor | None

    @staticmethod
    def of(architecture: Architecture) -> Images:
        source, size = torch.Generator().manual_seed(0), architecture.image_size
        pixels = torch.randint(0, 256, (COUNT, 3, size, size), generator=source, dtype=torch.uint8)
        classes = architecture.num_classes
        return Images(pixels, torch.randint(0, classes, (COUNT,), generator=source) if classes else None)

    def draw(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Pixels and labels of images drawn at random."""
        chosen = torch.randint(0, len(self.pixels), (batch,))
        return self.pixels[chosen], None if self.labels is None else self.labels[chosen]
