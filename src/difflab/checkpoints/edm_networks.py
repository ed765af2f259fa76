"""SongUNets of EDM (Karras et al. 2022, arXiv 2206.00364; github.com/NVlabs/edm) in our network: DDPM++ and NCSN++.

EDM's own files are pickles that bring code along, which is not run here. Where EDM is installed, its weights are written by

    torch.save(pickle.load(open("edm-cifar10-32x32-cond-vp.pkl", "rb"))["ema"].state_dict(), "edm.pt")

after which `SongUNet.load_state_dict(convert(read_checkpoint("edm.pt"), network))` has them.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from difflab.checkpoints.fitting import check_weights
from difflab.networks import SongUNet
from difflab.types import sides

_TOP = {"map_layer0": "hidden", "map_layer1": "told"}
_BLOCK = {
    "norm0": "0.norm_in",
    "conv0": "0.conv_in",
    "affine": "0.told",
    "norm1": "0.norm_out",
    "conv1": "0.conv_out",
    "skip": "0.skip",
    "norm2": "1.norm",
    "qkv": "1.qkv",
    "proj": "1.out",
}
_AUGMENTATION = "map_augment.weight"
"""Tells the network how an image was augmented; where it was not, it adds nothing."""


def convert(state: Mapping[str, Tensor], network: SongUNet) -> dict[str, Tensor]:
    """Its weights under our names, for `network.load_state_dict`; nothing may be missing, left over or misshapen.

    Args:
        state: Of a SongUNet, or of a preconditioned one, whose names begin with `model.`.
        network: Of the same settings. Classes are an embedder `label`; `NullableLabelEmbedding` has the vector of no class, too.
    """
    state = {name.removeprefix("model."): value for name, value in state.items()}
    expected, converted = network.state_dict(), {}
    for theirs, value in state.items():
        if theirs == _AUGMENTATION or theirs.endswith(".resample_filter") or theirs.startswith("map_label."):
            continue
        ours = _renamed(theirs, network, several="progressive_output.to_image.0.conv.weight" in expected)
        if ".qkv." in theirs and ours in expected:  # channels, each with its q, k and v
            value = value.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
        converted[ours] = value
    if "map_label.weight" in state:  # of a one-hot vector times sqrt(classes)
        weight, bias = state["map_label.weight"].t(), state["map_label.bias"]
        rows = torch.cat([weight * len(weight) ** 0.5 + bias, bias[None]])
        converted["embedders.label.weight"] = rows[: len(expected.get("embedders.label.weight", rows))]
    check_weights(
        converted,
        network,
        "this SongUNet",
        "check width, channel_mult, depth, attention_resolutions, noise_features, progressive_input, progressive_output and embedder",
    )
    return converted


def _renamed(theirs: str, network: SongUNet, several: bool) -> str:
    """Our name of a weight; its own where it means nothing."""
    if theirs == "map_noise.freqs":
        return "noise_features.frequencies"
    top, _, kind = theirs.partition(".")
    if top in _TOP:
        return f"{_TOP[top]}.{kind}"
    found = re.fullmatch(r"(enc|dec)\.(\d+)x\d+_([a-z]+)(\d*)(?:_([a-z]+))?\.(.+)", theirs)
    if not found:
        return theirs
    side, size, what, number, more, rest = found.groups()
    level = (min(sides(network.image_size)) // int(size)).bit_length() - 1
    up = len(network.down) - 1 - level
    layer, _, kind = rest.partition(".")
    block = f"{_BLOCK.get(layer, layer)}.{kind}"
    if what == "aux":
        end = f"progressive_output.to_image.{up}." if several else "progressive_output.to_image."
        places = {
            "norm": f"{end}norm.",
            "conv": f"{end}conv.",
            "residual": f"progressive_input.convs.{level - 1}.conv.",
            "skip": f"progressive_input.convs.{level - 1}.",
        }
        return places.get(more or "", "aux.") + rest
    if what == "conv":
        return f"conv_in.{rest}"
    if what == "in":
        inner = block.split(".", 1)
        return f"middle.{2 * int(number) + int(inner[0])}.{inner[1]}" if inner[0].isdigit() else theirs
    if what == "block":
        return f"{'down' if side == 'enc' else 'up'}.{level if side == 'enc' else up}.{number}.{block}"
    return f"halved.{level - 1}.{block}" if what == "down" else f"doubled.{up - 1}.{block}"
