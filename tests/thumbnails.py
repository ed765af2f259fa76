"""Features for metrics of torchmetrics: what the extractor `thumbnail` sees, in 0 .. 255."""

from __future__ import annotations

from torch import Tensor, nn


class Thumbnails(nn.Module):
    """[B, C, H, W] uint8 -> [B, 192]."""

    num_features = 192

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.expand(-1, 3, -1, -1).float(), 8).flatten(1)
