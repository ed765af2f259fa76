"""Extractors for what is no image: the numbers of a point as they are, and the frames of a clip through an extractor of images."""

from __future__ import annotations

from torch import Tensor, nn

from difflab.features.extractor import FeatureExtractor, Features, Identity


class ValuesExtractor(FeatureExtractor):
    """[B, C] or [B, C, *size] -> the same numbers, [B, dimension].

    Args:
        dimension: How many numbers an example has.
    """

    takes_pixels = False

    def __init__(self, dimension: int = 2):
        super().__init__(Identity("values", dimension, "none"), nn.Identity())

    def _extract(self, images: Tensor) -> Features:
        return Features(images.flatten(1).float())


class PixelValuesExtractor(FeatureExtractor):
    """Images [B, C, *size] of bytes -> their values as u / 127.5 - 1, [B, dimension]: for short sequences, and other small data of bits.

    Args:
        dimension: How many values an image has; the 20 of a heartbeat.
    """

    def __init__(self, dimension: int = 20):
        super().__init__(Identity("pixel_values", dimension, "u / 127.5 - 1"), nn.Identity())

    def _extract(self, images: Tensor) -> Features:
        return Features(images.flatten(1).float() / 127.5 - 1)


class FramesExtractor(FeatureExtractor):
    """Clips [B, C, T, H, W] -> the mean of an image extractor's features over the T frames.

    A clip remains one draw, so that intervals count clips and not frames. It says how frames look, and nothing of motion.

    Args:
        of_images: The extractor of images.
    """

    axes = 3

    def __init__(self, of_images: FeatureExtractor):
        one = of_images.identity
        identity = Identity(
            f"frames_{one.name}", one.dimension, f"mean over frames; {one.preprocessing}", weights=one.weights
        )
        super().__init__(identity, of_images.network)
        self._of_images = of_images

    def _extract(self, images: Tensor) -> Features:
        frames = images.transpose(1, 2).flatten(0, 1)
        return Features(self._of_images.to(self.device)(frames).features.unflatten(0, images.shape[0:3:2]).mean(dim=1))
