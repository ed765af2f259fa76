"""CLIP's image embeddings, for CMMD (Jayasumana et al. 2024, "Rethinking FID") and for Frechet distances in CLIP's space.

CMMD uses ViT-L/14 at 336 pixels, Kynkaanniemi et al. 2023 ("The role of ImageNet classes in FID") ViT-B/32 at 224; numbers are called
cmmd, fd_clip_vitl14_336, fd_clip_vitb32. The network is torch-fidelity's, the preprocessing that of CMMD's authors: bicubic resize
(a = -1/2, antialiased, in floating point, as jax.image.resize) and OpenAI's mean and standard deviation. Embeddings are those after the
projection, of any length: CMMD scales them to length 1. No logits, hence no score.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.features.pretrained import KNOWN, read_tensors, require

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1], as OpenAI publishes them
STD = (0.26862954, 0.26130258, 0.27577711)
SIZES = {"vitb32": 224, "vitl14_336": 336}


class ClipExtractor(FeatureExtractor):
    """Images of any size, grey ones are repeated to RGB.

    model    vitl14_336 (CMMD's), vitb32
    weights  path of OpenAI's file for this model; None looks into $DIFFLAB_CLIP, the cache and torch.hub's folder
    """

    def __init__(self, model: str = "vitl14_336", weights: str | Path | None = None):
        if model not in SIZES:
            raise ValueError(f"model={model}: there are {', '.join(SIZES)}")
        file = KNOWN[f"clip_{model}"]
        found = require([file], weights)
        state = read_tensors(found.path)
        # imported here: it takes seconds, and most runs measure with another extractor
        from torch_fidelity.feature_extractor_clip import build_model

        try:
            network = build_model(state, torch.float32).visual
        except (RuntimeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{found.path} does not hold the weights of OpenAI's CLIP {model} ({file.file_name}): "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        if network.input_resolution != SIZES[model]:
            raise ValueError(
                f"{found.path} holds a CLIP for {network.input_resolution} pixels, {model} has {SIZES[model]}: name the right file or model"
            )
        self._size = SIZES[model]
        identity = Identity(
            name=f"clip_{model}",
            dimension=network.output_dim,
            preprocessing=f"antialiased bicubic resize to {self._size}, OpenAI's mean and std",
            weights=found.described,
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        x = as_rgb(images).to(torch.float32) / 255
        x = F.interpolate(x, size=(self._size, self._size), mode="bicubic", align_corners=False, antialias=True)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        return Features(self._network((x - mean) / std))
