"""Weights of OpenAI's guided-diffusion (arXiv 2105.05233) and improved-diffusion (arXiv 2102.09672) in our networks.

    model = load("models/64x64_diffusion.pt")                   # a released model: its flags are known by the file's name
    model = load("model.pt", "--image_size 32 --channel_mult 1,2,2,2 --num_channels 128 --learn_sigma True")
    eps_and_fraction = model(x, t, y)                           # t = 0 .. 999, as in OpenAI's code
    denoiser = Denoiser(model.network, ...)                     # the network itself, which takes a Condition

`flags` everywhere is what guided-diffusion's scripts take, as one string or as a mapping, or the constructor arguments of its
network classes as a mapping (see `openai_flags` and `openai_networks`).
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from difflab.checkpoints.openai_flags import (
    RELEASED,
    DiffusionFlags,
    Flags,
    completed,
    diffusion,
    flags_for,
    small_size,
)
from difflab.checkpoints.openai_networks import Architecture, architecture, build
from difflab.networks import Encoder, SuperRes, UNet
from difflab.reading.archives import check_sums
from difflab.reading.arrays import read_checkpoint
from difflab.types import Condition, GivenImage, Label

__all__ = [
    "RELEASED",
    "Architecture",
    "DiffusionFlags",
    "OpenAINetwork",
    "architecture",
    "completed",
    "convert",
    "diffusion",
    "flags_for",
    "load",
    "small_size",
    "unet",
]

_INNER = (
    ("in_layers.0.", "norm_in."),
    ("in_layers.2.", "conv_in."),
    ("emb_layers.1.", "norm_out.linear."),
    ("out_layers.0.", "norm_out.norm."),
    ("out_layers.3.", "conv_out."),
    ("skip_connection.", "skip."),
    ("proj_out.", "out."),
    ("op.", "conv."),
)
_TOP = (
    ("time_embed.0.", "time_embedding.hidden."),
    ("time_embed.2.", "time_embedding.output."),
    ("label_emb.", "embedders.label."),
    ("input_blocks.0.0.", "trunk.conv_in."),
)
_UNET_END = (("out.0.", "norm_out."), ("out.2.", "conv_out."))
_ENCODER_ENDS = {
    "attention": (
        ("out.0.", "pooling.norm."),
        ("out.2.qkv_proj.", "pooling.qkv."),
        ("out.2.c_proj.", "pooling.out."),
        ("out.2.positional_embedding", "pooling.position"),
    ),
    "adaptive": (("out.0.", "pooling.norm."), ("out.3.", "pooling.out.")),
    "spatial": (("out.0.", "pooling.hidden."), ("out.2.", "pooling.out.")),
    "spatial_v2": (("out.0.", "pooling.hidden."), ("out.1.", "pooling.norm."), ("out.3.", "pooling.out.")),
}


class OpenAINetwork(nn.Module):
    """Called as OpenAI calls its networks: (x, t, y) or, for super-resolution, (x, t, y, low_res).

    Attributes:
        t: OpenAI's own time values, such as 0 .. 999 of any dtype.
        y: Class labels, for a class-conditional network.
        network: The network inside, to the rest of difflab.
    """

    def __init__(self, network: UNet | SuperRes | Encoder):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, low_res: Tensor | None = None) -> Tensor:
        label = None if y is None else Label(y)
        return self.network(
            x, t.double(), Condition(label=label, image=None if low_res is None else GivenImage(low_res))
        )


def unet(flags: Flags) -> OpenAINetwork:
    """The network that the flags mean, with fresh weights: a UNet, or a SuperRes or a classifier's Encoder if they say so."""
    return OpenAINetwork(build(architecture(flags)))


def convert(state_dict: Mapping[str, Tensor], flags: Flags) -> dict[str, Tensor]:
    """OpenAI's state dict under our names, for `unet(flags).load_state_dict`; nothing may be missing, left over or misshapen."""
    arch = architecture(flags)
    with torch.device("meta"):
        network = build(arch)
    expected = {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    end = _ENCODER_ENDS[arch.pool] if isinstance(network, Encoder) else _UNET_END
    prefix = "network.unet." if isinstance(network, SuperRes) else "network."

    converted, left_over, misshapen = {}, [], []
    for theirs, value in state_dict.items():
        ours = prefix + _renamed(theirs, end)
        if ours not in expected:
            left_over.append(theirs)
            continue
        # a convolution with kernel size 1 over tokens is a linear layer of ours
        kernel = (1,) * (value.ndim - len(expected[ours]))
        converted[ours] = value.reshape(expected[ours]) if tuple(value.shape) == expected[ours] + kernel else value
        if tuple(converted[ours].shape) != expected[ours]:
            misshapen.append(f"{theirs} {tuple(value.shape)}, where {ours} has {expected[ours]}")
    missing = sorted(set(expected) - set(converted))
    if missing or left_over or misshapen:
        raise ValueError(
            f"the weights are not those of the {type(network).__name__} that the flags {flags!r} mean:"
            + _listed("not in the network", left_over)
            + _listed("not in the weights", missing)
            + _listed("of another shape", misshapen)
            + "\nCheck image_size, num_channels, num_res_blocks, attention_resolutions, resblock_updown, class_cond, learn_sigma."
        )
    return converted


def load(path: str | Path, flags: Flags | None = None) -> OpenAINetwork:
    """The network of a checkpoint file in evaluation mode, float32. Without flags, the file's name must be a released one."""
    flags = flags_for(path) if flags is None else flags
    if zipfile.is_zipfile(path):
        check_sums(path)  # at which torch does not look
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no weights by name, as OpenAI's models do: give another file")
    try:
        weights = convert(state, flags)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    with torch.device("meta"):
        network = unet(flags)
    network.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    return network.eval()


def _renamed(theirs: str, end: tuple[tuple[str, str], ...]) -> str:
    for old, new in (*_TOP, *end):
        if theirs.startswith(old):
            return new + theirs.removeprefix(old)
    block = re.fullmatch(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)", theirs)
    middle = re.fullmatch(r"middle_block\.(\d+)\.(.+)", theirs)
    if block:
        side, step, index, rest = block.groups()
        place = f"trunk.steps.{int(step) - 1}" if side == "input_blocks" else f"up.{step}"
    elif middle:
        place, (index, rest) = "trunk.middle", middle.groups()
    else:
        return theirs
    for old, new in _INNER:
        if rest.startswith(old):
            rest = new + rest.removeprefix(old)
            break
    return f"{place}.{index}.{rest}"


def _listed(what: str, names: list[str], most: int = 8) -> str:
    if not names:
        return ""
    more = [f"... and {len(names) - most} more"] if len(names) > most else []
    return f"\n  {what}: " + "; ".join(names[:most] + more)
