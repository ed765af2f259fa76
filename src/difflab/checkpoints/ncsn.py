"""Weights of ermongroup's NCSN and NCSNv2 (arXiv 1907.05600, 2006.09011) in our networks.

    network = load("checkpoint_300000.pth", image_size=32)
    denoiser = Denoiser(network, GeometricLadder(232, 0.02, 100.0), Epsilon(), FixedSmall())   # NCSN: Score()

What network it is follows from the weights. Theirs take images in [0, 1] and levels of these, and scale the images to [-1, 1] first; ours
are told images in [-1, 1] and twice those levels, where the score is half as large. So the output of NCSN, a score, is halved, and that of
NCSNv2, a score times sigma, has its sign turned, which makes it the noise.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import torch
from torch import Tensor

from difflab.checkpoints.fitting import check_weights
from difflab.networks import NCSN, NCSNv2
from difflab.reading.archives import check_sums
from difflab.reading.arrays import read_checkpoint
from difflab.types import ImageSize

__all__ = ["convert", "load", "network_of"]

_STAGES = (4, 5, 6)
_BLOCK = (
    ("normalize1", "norm_in"),
    ("normalize2", "norm_out"),
    ("conv1", "conv_in"),
    ("conv2", "conv_out"),
    ("shortcut", "skip"),
)


def network_of(weights: Mapping[str, Tensor], image_size: ImageSize) -> NCSN | NCSNv2:
    """The network that such weights are of, with values of its own.

    Args:
        weights: Theirs, as `convert` reads them.
        image_size: Of the images.

    Raises:
        ValueError: They are of no such network.
    """
    stages = _stages(weights)
    if "begin_conv.weight" not in weights or len(stages) not in _STAGES:
        raise ValueError("these are no weights of NCSN, NCSNv2, NCSNv2Deeper or NCSNv2Deepest")
    width, channels = weights["begin_conv.weight"].shape[:2]
    mult = tuple(weights[f"{stage}.1.conv1.weight"].shape[0] / width for stage in stages)
    table = weights.get("normalizer.embed.weight")
    if table is None:
        return NCSNv2(image_size, channels, channels, {}, width, mult)
    return NCSN(image_size, channels, channels, {}, len(table), width, mult)


def convert(weights: Mapping[str, Tensor], network: NCSN | NCSNv2) -> dict[str, Tensor]:
    """Theirs under our names, for the network's `load_state_dict`; nothing may be missing, left over or misshapen.

    Args:
        weights: Names of ermongroup's code, with the prefix `module.` of its parallel wrapper or without; its table of sigmas is no weight.
        network: What `network_of` gave.
    """
    plain = _plain(weights)
    stages = _stages(plain)
    told = isinstance(network, NCSN)
    converted = {_renamed(name, stages): value for name, value in plain.items() if not _is_split(name)}
    for name in plain:
        if name.endswith(".gamma"):
            norm = name.removesuffix(".gamma")
            parts = [plain[f"{norm}.{part}"] for part in ("gamma", "alpha", "beta")]
            converted[f"{_renamed(norm, stages)}.weight"] = torch.cat(parts)[None]
    for name in ("cascade.conv_out.weight", "cascade.conv_out.bias"):
        converted[name] = 0.5 * converted[name] if told else -converted[name]
    check_weights(converted, network, f"this {type(network).__name__}")
    return converted


def load(path: str | Path, image_size: ImageSize) -> NCSN | NCSNv2:
    """The network of a checkpoint file in evaluation mode, float32.

    Args:
        path: A file of ermongroup's runners: a list of states, the last of which is the average of the weights where there is one.
        image_size: Of the images.
    """
    if zipfile.is_zipfile(path):
        check_sums(path)  # at which torch does not look
    state = read_checkpoint(path)
    states = list(state) if isinstance(state, list | tuple) else [state]
    weights = _plain(_weights_of(path, states[0] if states else None))
    if len(states) > 1 and _is_weights(states[-1]):
        weights |= _plain(states[-1])
    try:
        network = network_of(weights, image_size)
        network.load_state_dict({name: value.float() for name, value in convert(weights, network).items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network.eval()


def _weights_of(path: str | Path, state: object) -> Mapping[str, Tensor]:
    if not _is_weights(state):
        raise ValueError(f"{path} holds no weights by name, as NCSN's checkpoints do: give another file")
    return state


def _is_weights(state: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values())


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {name.removeprefix("module."): value for name, value in weights.items()}
    return {name: value for name, value in named.items() if name != "sigmas"}


def _stages(weights: Mapping[str, Tensor]) -> list[str]:
    """res1, res2, res3, res31 of the deepest, res4 ...: in the order of the cascade."""
    names = {match[1] for match in (re.match(r"(res\d+)\.", name) for name in weights) if match}
    return sorted(names)


def _is_split(name: str) -> bool:
    """Whether it is a part of a norm's weight, which are three vectors there and one here."""
    return name.endswith((".alpha", ".gamma", ".beta"))


def _renamed(theirs: str, stages: list[str]) -> str:
    name = theirs.replace(".embed.weight", ".weight")
    for old, new in (("begin_conv", "conv_in"), ("end_conv", "conv_out"), ("normalizer", "norm_out")):
        if name.startswith(old):
            return f"cascade.{new}{name.removeprefix(old)}"
    head, _, rest = name.partition(".")
    if head in stages:
        index, _, rest = rest.partition(".")
        for old, new in _BLOCK:
            if rest.startswith(old):
                rest = new + rest.removeprefix(old).replace(".conv.", ".")
                break
        return f"cascade.stages.{stages.index(head)}.{index}.{rest}"
    coarsest_first = [stage.replace("res", "refine") for stage in stages]
    if head in coarsest_first:
        return f"cascade.refined.{coarsest_first.index(head)}.{_refining(rest)}"
    return theirs


def _refining(name: str) -> str:
    unit = re.fullmatch(r"(?:adapt_convs\.(\d+)|(output_convs))\.(\d+)_(\d+)_(conv|norm)\.weight", name)
    if unit:
        image, output, block, stage, kind = unit.groups()
        place = "output" if output else f"adapted.{image}"
        return f"{place}.{int(block) - 1}.{kind}s.{int(stage) - 1}.weight"
    return name.replace("crp.", "pooling.").replace("msf.", "fusion.")
