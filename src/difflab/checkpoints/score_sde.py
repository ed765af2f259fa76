"""Networks of score_sde (Song et al. 2021, arXiv 2011.13456; github.com/yang-song/score_sde_pytorch) in ours: NCSN++, DDPM++ and DDPM.

    arch = architecture({"name": "ncsnpp", "nf": 128, ...}, image_size=32, centered=False)   # its config.model and config.data
    peer = load("checkpoint_24.pth", arch)                      # averaged weights; called as its own networks are
    score = peer(x, labels)                                     # x in its range, labels as it gives them
    denoiser = Denoiser(peer.network, ...)                      # the network itself, which says eps

Its variance-exploding models have images in [0, 1] and say the score, which is -eps / sigma: their last weights are taken negative here,
so that `Epsilon` reads the network, with VarianceExploding(2 sigma_min, 2 sigma_max) for images in [-1, 1].
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from difflab.checkpoints.fitting import check_weights
from difflab.checkpoints.score_sde_networks import Architecture, architecture, build
from difflab.networks import SongUNet
from difflab.networks.layers.song_block import SongAttention, SongBlock
from difflab.reading.arrays import read_checkpoint
from difflab.types import Condition

__all__ = ["Architecture", "ScoreSDENetwork", "architecture", "build", "convert", "load"]

_BLOCK = {
    "GroupNorm_0": "norm_in",
    "Conv_0": "conv_in",
    "Dense_0": "told",
    "GroupNorm_1": "norm_out",
    "Conv_1": "conv_out",
    "Conv_2": "skip",
    "NIN_0": "skip",
}
_ATTENTION = {"GroupNorm_0": "norm", "NIN_0": "qkv.0", "NIN_1": "qkv.1", "NIN_2": "qkv.2", "NIN_3": "out"}
_PREFIX, _LIST = "module.", "all_modules."


class ScoreSDENetwork(nn.Module):
    """Called as score_sde calls its networks: (x, labels) -> score, or -score std where it is not scaled by sigma.

    Attributes:
        network: The network inside, to the rest of difflab: it says eps, is told log(labels) where these are noise levels, else labels.
    """

    sigmas: Tensor

    def __init__(self, network: SongUNet, arch: Architecture):
        super().__init__()
        self.network, self.arch = network, arch
        logs = torch.linspace(math.log(arch.sigma_max), math.log(arch.sigma_min), arch.num_scales, dtype=torch.float64)
        self.register_buffer("sigmas", logs.exp(), persistent=False)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        labels = labels.double()
        time = labels.log() if self.arch.is_fourier else labels
        eps = self.network(x if self.arch.centered else 2 * x - 1, time, Condition())
        if not self.arch.scale_by_sigma:
            return eps
        sigma = labels if self.arch.is_fourier else self.sigmas[labels.long()]
        return -eps / sigma.to(eps)[:, None, None, None]


def convert(state: Mapping[str, Tensor], arch: Architecture) -> dict[str, Tensor]:
    """Its weights under our names, for `build(arch).load_state_dict`; nothing may be missing, left over or misshapen."""
    with torch.device("meta"):
        network = build(arch)
    order, converted, parts = list(_order(network)), {}, {}
    for theirs, value in state.items():
        name = theirs.removeprefix(_PREFIX)
        if name == "sigmas":  # a table that follows from the architecture
            continue
        ours = _renamed(name, order, network)
        parts[ours or name] = value.t()[:, :, None, None] if ours and name.endswith(".W") and value.ndim == 2 else value
    for name in {name for name in parts if ".qkv." in name}:
        place, kind = name.rsplit(".qkv.", 1)[0], name.rsplit(".", 1)[1]
        three = [parts.pop(f"{place}.qkv.{i}.{kind}", None) for i in range(3)]
        if all(part is not None for part in three):
            converted[f"{place}.qkv.{kind}"] = torch.cat([part for part in three if part is not None])
    converted |= parts
    sign = -1 if arch.scale_by_sigma else 1
    converted = {name: sign * value if _is_last(name) else value for name, value in converted.items()}
    check_weights(
        converted,
        network,
        f"the {arch.name} that the configuration means",
        "check nf, ch_mult, num_res_blocks, attn_resolutions, resblock_type, progressive and progressive_input",
    )
    return converted


def _is_last(name: str) -> bool:
    return name.startswith("progressive_output.to_image.") and ".conv." in name


def _renamed(theirs: str, order: list[str], network: SongUNet) -> str | None:
    """Our name of a weight; None for one that the network does not have."""
    number, _, rest = theirs.removeprefix(_LIST).partition(".")
    if not theirs.startswith(_LIST) or not number.isdigit() or int(number) >= len(order) or not rest:
        return None
    place = order[int(number)]
    if rest == "W":
        return f"{place}.frequencies"
    layer, dot, kind = rest.rpartition(".")
    kind = {"W": "weight", "b": "bias"}.get(kind, kind)
    if not dot:
        return f"{place}.{kind}"
    module = network.get_submodule(place)
    if isinstance(module, SongBlock | SongAttention):
        inner = (_BLOCK if isinstance(module, SongBlock) else _ATTENTION).get(layer)
        return f"{place}.{inner}.{kind}" if inner else None
    convolutions = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    return ".".join(part for part in (place, *convolutions, kind) if part) if len(convolutions) == 1 else None


def _order(network: SongUNet) -> Iterator[str]:
    """Our names of its `all_modules`."""
    if list(network.noise_features.buffers()):
        yield "noise_features"
    yield from ("hidden", "told", "conv_in")
    levels = len(network.down)
    inputs, outputs = (dict(part.named_children()) for part in (network.progressive_input, network.progressive_output))
    for level in range(levels):
        yield from _layers(network, f"down.{level}")
        if level + 1 < levels:
            yield f"halved.{level}.0"
            if "convs" in inputs:
                yield f"progressive_input.convs.{level}"
    yield from (f"middle.{i}" for i in range(3))
    several = isinstance(outputs["to_image"], nn.ModuleList)
    for level in range(levels):
        yield from _layers(network, f"up.{level}")
        if several:
            yield from (f"progressive_output.to_image.{level}.{part}" for part in ("norm", "conv"))
        elif "begin" in outputs and level == 0:
            yield from ("progressive_output.begin.norm", "progressive_output.begin.conv")
        elif "begin" in outputs:
            yield f"progressive_output.convs.{level - 1}"
        if level + 1 < levels:
            yield f"doubled.{level}.0"
    if not several:
        yield from ("progressive_output.to_image.norm", "progressive_output.to_image.conv")


def _layers(network: SongUNet, place: str) -> Iterator[str]:
    for name, layer in network.get_submodule(place).named_modules():
        if isinstance(layer, SongBlock | SongAttention):
            yield f"{place}.{name}"


def load(path: str | Path, arch: Architecture, averaged: bool = True) -> ScoreSDENetwork:
    """The network of one of its checkpoint files, in evaluation mode, float32; no code of the file is run.

    Args:
        path: A file of `model`, `ema` and `step`, as its training writes.
        arch: See `architecture`.
        averaged: Whether to take the averages, which its numbers are of, not the weights at the last step.
    """
    content = read_checkpoint(path)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(value, Tensor) for value in model.values()):
        raise ValueError(f"{path} holds no weights at `model`, as score_sde's checkpoints do: give another file")
    state = dict(model)
    if averaged:
        # averages are in the order of the parameters that learn, without names
        learn = [n for n in state if n.removeprefix(_PREFIX) != "sigmas" and not _is_frequency(n, state[n])]
        shadows = content.get("ema", {}).get("shadow_params", [])
        if [tuple(v.shape) for v in shadows] != [tuple(state[n].shape) for n in learn]:
            raise ValueError(
                f"{path}: ema.shadow_params are not averages of the weights at `model`: load averaged=False"
            )
        state |= dict(zip(learn, shadows, strict=True))
    try:
        weights = convert(state, arch)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    network = build(arch)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return ScoreSDENetwork(network, arch).eval()


def _is_frequency(name: str, value: Tensor) -> bool:
    return name.endswith(".W") and value.ndim == 1
