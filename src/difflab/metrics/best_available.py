"""The extractor that suits the data and is at hand. The metrics' names tell which one it was."""

from __future__ import annotations

from pathlib import Path

from difflab.data.digits import Digits
from difflab.invocation import installation
from difflab.metrics.digits import DigitsExtractor
from difflab.metrics.efficientnet_lite0 import EfficientNetLite0Extractor, has_efficientnet_lite0
from difflab.metrics.extractor import FeatureExtractor
from difflab.metrics.inception import FILES, InceptionExtractor, find_inception_weights


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
