"""Weights of DiT (arXiv 2212.09748), of SiT (arXiv 2401.08740), which has the same network, and of diffusers' DiT in our network.

    network = load("DiT-XL-2-256x256.pt")                   # facebookresearch/DiT's own file
    network = load("DiT-XL-2-256/transformer")              # diffusers' folder: config.json, diffusion_pytorch_model.safetensors
    network = load("SiT-XL-2-256x256.pt", mean_only=True)   # SiT drops the second half of the output

diffusers' own code embeds the time by frequencies 10000^(-k / 127), where DiT has 10000^(-k / 128) and was trained with them; here a folder
and a .pt file of one model are one network, DiT's.

What a file does not say, the number of heads, is known of the published widths (64 or, of XL, 72 numbers a head), and is else given as
flags: "--num_heads 4".
"""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.checkpoints.fitting import check_weights
from difflab.networks import DiT
from difflab.networks.layers import LabelEmbedding, NullableLabelEmbedding
from difflab.reading import read_json
from difflab.reading.archives import check_sums
from difflab.reading.arrays import read_checkpoint, read_safetensors
from difflab.reading.json import fields

HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}
"""Heads by width, of S, B, L and XL (table 1)."""
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

_TOP = {
    "x_embedder.proj": "enter",
    "t_embedder.mlp.0": "time_embedding.hidden",
    "t_embedder.mlp.2": "time_embedding.output",
    "y_embedder.embedding_table": "embedders.label",
    "final_layer.linear": "leave",
    "final_layer.adaLN_modulation.1": "norm_out.modulation.linear",
}
_BLOCK = {
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out",
    "mlp.fc1": "mlp.hidden",
    "mlp.fc2": "mlp.output",
    "adaLN_modulation.1": "modulation.linear",
}
_DIFFUSERS_TOP = {"pos_embed.proj": "enter", "proj_out_1": "norm_out.modulation.linear", "proj_out_2": "leave"}
_DIFFUSERS_BLOCK = {
    "attn1.to_out.0": "attention.out",
    "ff.net.0.proj": "mlp.hidden",
    "ff.net.2": "mlp.output",
    "norm1.linear": "modulation.linear",
}
_DIFFUSERS_COPIES = {
    "timestep_embedder.linear_1": "time_embedding.hidden",
    "timestep_embedder.linear_2": "time_embedding.output",
    "class_embedder.embedding_table": "embedders.label",
}
"""Below norm1.emb of every block; all blocks of a released model have the same."""


def renamed(name: str) -> str:
    """DiT's name of a weight -> ours; a name that is not known stays as it is."""
    layer, _, kind = name.rpartition(".")
    if layer in _TOP:
        return f"{_TOP[layer]}.{kind}"
    block = re.fullmatch(r"blocks\.(\d+)\.(.+)", layer)
    if block and block[2] in _BLOCK:
        return f"blocks.{block[1]}.0.{_BLOCK[block[2]]}.{kind}"
    return name


def from_diffusers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under diffusers' names -> under ours; what is not known keeps its name.

    Raises:
        ValueError: Blocks have embeddings of time or class that differ: no released model has, and this network has one of each.
    """
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for theirs, value in weights.items():
        layer, _, kind = theirs.rpartition(".")
        if layer in _DIFFUSERS_TOP:
            found[f"{_DIFFUSERS_TOP[layer]}.{kind}"] = value
            continue
        block = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", layer)
        place, inner = (f"blocks.{block[1]}.0", block[2]) if block else ("", layer)
        copy = _DIFFUSERS_COPIES.get(inner.removeprefix("norm1.emb."))
        if block and copy:
            one = found.setdefault(f"{copy}.{kind}", value)
            if one is not value and not torch.equal(one, value):
                raise ValueError(
                    f"{theirs} is not what the blocks before have, and a DiT has one embedding of time and class"
                )
        elif block and inner in _DIFFUSERS_BLOCK:
            found[f"{place}.{_DIFFUSERS_BLOCK[inner]}.{kind}"] = value
        elif block and inner in ("attn1.to_q", "attn1.to_k", "attn1.to_v"):
            parts.setdefault(f"{place}.attention.qkv.{kind}", {})[inner[-1]] = value
        else:
            found[theirs] = value
    for name, rows in parts.items():
        if len(rows) == 3:
            found[name] = torch.cat([rows["q"], rows["k"], rows["v"]])
    return found


def built(
    weights: Mapping[str, Tensor], heads: int | None = None, classes: int | None = None, mean_only: bool = False
) -> DiT:
    """The network whose shapes these weights have, under our names, with them in it; in evaluation mode, float32.

    Args:
        weights: By our names.
        heads: Of each attention; None for the published number for this width.
        classes: That it tells apart; None for one less than its table has rows, since the last one of published models is for none.
        mean_only: Whether the second half of the output is left out.

    Raises:
        ValueError: They are no DiT's, or do not fit together.
    """
    for needed in ("enter.weight", "leave.weight", "embedders.label.weight"):
        if needed not in weights:
            raise ValueError(
                f"no weights of a DiT: {needed} is missing. It must have patches, a table of classes and a last layer"
            )
    width, channels, patch, _ = weights["enter.weight"].shape
    if heads is None and width not in HEADS:
        raise ValueError(
            f"a width of {width} is none of the published ones: say how many heads there are, as flags='--num_heads 4'"
        )
    rows = len(weights["embedders.label.weight"])
    classes = rows - 1 if classes is None else classes
    if classes not in (rows, rows - 1):
        raise ValueError(
            f"{classes} classes, and a table of {rows} rows: there is one for each class, and one for none"
        )
    embedder = partial(LabelEmbedding if classes == rows else NullableLabelEmbedding, classes)
    depth = 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("blocks.")), default=-1)
    hidden = weights.get("blocks.0.0.mlp.hidden.weight")
    values = dict(weights)
    out = len(values["leave.weight"]) // patch**2
    if mean_only and out == 2 * channels:
        out = channels
        for name in ("leave.weight", "leave.bias"):
            values[name] = values[name].unflatten(0, (patch**2, -1))[:, :channels].flatten(0, 1)
    side = _grid(values.pop("pos_embed", None)) * patch
    with torch.device("meta"):
        network = DiT(
            side,
            channels,
            out,
            embedders={"label": embedder},
            patch=patch,
            width=width,
            depth=max(depth, 1),
            heads=heads or HEADS[width],
            mlp_ratio=4.0 if hidden is None else len(hidden) / width,
        )
    check_weights(values, network, f"a DiT of width {width} and depth {depth}")
    network.load_state_dict({name: value.float() for name, value in values.items()}, assign=True)
    return network.eval()


def load(path: str | Path, flags: str | None = None, mean_only: bool = False) -> DiT:
    """The network of a file of DiT or SiT, or of diffusers' folder.

    Args:
        path: A .pt file of weights by DiT's names, alone or as `ema` of a checkpoint of its training; or a folder with config.json.
        flags: "--num_heads 4 --num_classes 10", where the file does not tell.
        mean_only: Whether the second half of the output is left out, as SiT does.

    Raises:
        ValueError: There is no such model in it. One line says why.
    """
    path, said = Path(path), _flags(flags)
    try:
        if path.is_dir():
            weights, known = _diffusers(path)
            return built(weights, **(known | said), mean_only=mean_only)
        if zipfile.is_zipfile(path):
            check_sums(path)  # at which torch does not look
        state = read_checkpoint(path)
        if isinstance(state, dict) and isinstance(state.get("ema"), dict):
            state = state["ema"]  # a checkpoint of their train.py; its own sampling takes the average too
        if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds no weights by name: give another file")
        return built({renamed(name): value for name, value in state.items()}, **said, mean_only=mean_only)
    except (ValueError, RuntimeError) as error:
        said_there = str(error)
        raise ValueError(said_there if str(path) in said_there else f"{path}: {said_there}") from error


def _diffusers(folder: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The weights of diffusers' folder by our names, and what its config.json says: heads and classes."""
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"{folder} has no config.json: name diffusers' folder `transformer`, or a .pt file")
    config = read_json(file)
    kinds: dict[str, Any] = {
        "num_attention_heads": int,
        "num_embeds_ada_norm": int,
        "patch_size": int,
        "sample_size": int,
    }
    told = fields(config, file, kinds)
    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise ValueError(f"{folder} has no {' or '.join(_WEIGHTS)}. Get it again")
    weights = read_safetensors(found) if found.suffix == ".safetensors" else read_checkpoint(found)
    named = from_diffusers(weights)
    patches = told["sample_size"] // told["patch_size"]
    named["pos_embed"] = torch.empty(
        1, patches**2, 0
    )  # says how many places there are; theirs is no weight of diffusers' files
    return named, {"heads": told["num_attention_heads"], "classes": told["num_embeds_ada_norm"]}


def _grid(table: Tensor | None) -> int:
    """Patches along an axis, by the table of positions."""
    if table is None or table.ndim != 3 or round(table.shape[1] ** 0.5) ** 2 != table.shape[1]:
        raise ValueError(
            "pos_embed [1, N, D], which tells the size of the images, is missing or of another shape. Get the file again"
        )
    return round(table.shape[1] ** 0.5)


def _flags(text: str | None) -> dict[str, int]:
    known = {"--num_heads": "heads", "--num_classes": "classes"}
    words = shlex.split(text or "")
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or not pairs.keys() <= known.keys() or not all(value.isdecimal() for value in pairs.values()):
        raise ValueError(f"flags={text!r}: those of a DiT are {' and '.join(f'{name} NUMBER' for name in known)}")
    return {known[name]: int(value) for name, value in pairs.items()}
