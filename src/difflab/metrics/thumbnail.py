"""Images made very small, for `fd_thumbnail`: no weights, no download, no time."""

from __future__ import annotations

from torch import Tensor, nn

from difflab.metrics.extractor import FeatureExtractor, Features, Identity, as_rgb

SIDE = 8


class ThumbnailExtractor(FeatureExtractor):
    """The means over an 8 x 8 grid of cells, in red, green and blue: 192 features.

    A Frechet distance of them compares brightness, colours and where they are, and sees neither texture nor objects: it falls while a
    model learns the layout of its images, and says nothing about details. It is for a first look, and for machines on which no network
    for features is at hand. Its scale is its own: compare fd_thumbnail with fd_thumbnail alone.
    """

    def __init__(self) -> None:
        identity = Identity(
            name="thumbnail",
            dimension=3 * SIDE**2,
            preprocessing=f"RGB, mean over {SIDE} x {SIDE} cells, u / 127.5 - 1",
        )
        super().__init__(identity, nn.AdaptiveAvgPool2d(SIDE))

    def _extract(self, images: Tensor) -> Features:
        return Features(self._network(as_rgb(images).float()).flatten(1) / 127.5 - 1)
