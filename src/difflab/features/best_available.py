"""The extractor that suits the data and is at hand."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from difflab.data.named_sets import Digits
from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.features.inception import FILES, InceptionExtractor, find_inception_weights
from difflab.features.packaged import DigitsExtractor, EfficientNetLite0Extractor, has_efficientnet_lite0
from difflab.runtime.invocation import installation


def best_available(dataset: str, weights: str | Path | None = None) -> FeatureExtractor:
    """Our own classifier for the embedded digits; for other images Inception where its weights are at hand, else EfficientNet-Lite0.

    dataset   dotted name of the data set's class
    weights   path of Inception's weights; None looks into $DIFFLAB_INCEPTION, the cache and torch.hub's folder
    """
    if weights is None and dataset.rsplit(".", 1)[-1] == Digits.__name__:
        return DigitsExtractor()
    path = find_inception_weights(weights)
    if path is not None:
        return InceptionExtractor(path)
    if has_efficientnet_lite0():
        return EfficientNetLite0Extractor()
    raise ModuleNotFoundError(
        f"no feature extractor for images of this kind: {installation('extractors')}, or get Inception's weights: run "
        f"{' or '.join(file.how for file in FILES)}, or name a file by extractor.weights=PATH or $DIFFLAB_INCEPTION"
    )


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
