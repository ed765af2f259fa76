"""Extractors: from images to the features that metrics compare, their weights, and cached embeddings."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.features.extractor import (
        FeatureExtractor,
        Features,
        FeatureSet,
        Identity,
    )
    from difflab.features.inception import InceptionExtractor, find_inception_weights
    from difflab.features.packaged import (
        DigitsExtractor,
        EfficientNetLite0Extractor,
        ThumbnailExtractor,
        best_available,
    )
    from difflab.features.quantization import to_uint8, to_uint8_truncated
    from difflab.features.transformers import ClipExtractor, DinoV2Extractor
    from difflab.features.wrapped import FramesExtractor, PixelValuesExtractor, ValuesExtractor

__all__ = [
    "ClipExtractor",
    "DigitsExtractor",
    "DinoV2Extractor",
    "EfficientNetLite0Extractor",
    "FeatureExtractor",
    "FeatureSet",
    "Features",
    "FramesExtractor",
    "Identity",
    "InceptionExtractor",
    "PixelValuesExtractor",
    "ThumbnailExtractor",
    "ValuesExtractor",
    "best_available",
    "find_inception_weights",
    "to_uint8",
    "to_uint8_truncated",
]

on_demand(__name__)
