"""A small classifier of 8x8 handwritten digits, for `fd_digits`, `is_digits`, `sfd_digits`: fast on one CPU core.

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
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from difflab.features.extractor import FeatureExtractor, Features, Identity
from difflab.reading.weights import read_safetensors

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
