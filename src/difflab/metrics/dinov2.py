"""DINOv2 features, for FD-DINOv2 (Stein et al. 2023, "Exposing flaws of generative model evaluation metrics").

Features that were learned without labels follow people's judgement of diffusion models more closely than Inception's. The paper uses
ViT-L/14 at 224 pixels; numbers are called fd_dinov2_vitl14 and so on. Preprocessing is that of the authors' code: Pillow's bicubic
resize to 224 x 224 and ImageNet's mean and standard deviation. No logits, hence no score.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.metrics.dinov2_network import DinoV2Network
from difflab.metrics.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.metrics.pillow_resize import pillow_bicubic
from difflab.metrics.pretrained import KNOWN, require
from difflab.metrics.tensor_file import read_tensors

SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in [0, 1]


class Shape(NamedTuple):
    """Of a vision transformer."""

    width: int
    depth: int
    heads: int


SHAPES = {"vits14": Shape(384, 12, 6), "vitb14": Shape(768, 12, 12), "vitl14": Shape(1024, 24, 16)}


class DinoV2Extractor(FeatureExtractor):
    """The class token after the last norm; images of any size, grey ones are repeated to RGB.

    model    vits14, vitb14, vitl14 (the paper's)
    weights  path of Meta's file for this model; None looks into $DIFFLAB_DINOV2, the cache and torch.hub's folder
    """

    def __init__(self, model: str = "vitl14", weights: str | Path | None = None):
        if model not in SHAPES:
            raise ValueError(f"model={model}: DINOv2 comes as {', '.join(SHAPES)}")
        file = KNOWN[f"dinov2_{model}"]
        found = require([file], weights)
        state = read_tensors(found.path)
        state.pop("mask_token", None)  # for training
        with torch.device("meta"):  # not to draw weights that are replaced
            network = DinoV2Network(*SHAPES[model])
        try:
            network.load_state_dict(state, assign=True)
        except RuntimeError as error:
            raise ValueError(
                f"{found.path} does not hold the weights of DINOv2 {model} ({file.file_name}): "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        identity = Identity(
            name=f"dinov2_{model}",
            dimension=SHAPES[model].width,
            preprocessing=f"Pillow's bicubic resize to {SIZE}, ImageNet mean and std",
            weights=found.described,
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        x = pillow_bicubic(as_rgb(images), SIZE, SIZE) / 255
        mean, std = (x.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return Features(self._network((x - mean) / std))
