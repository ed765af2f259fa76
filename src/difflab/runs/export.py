"""Weights as safetensors: for sampling and for other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import difflab
from difflab.strict_json import dumps


def export_weights(
    path: str | Path,
    weights: dict[str, Tensor],
    track: str,
    step: int,
    config: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model's weights with what is needed to use them in the header: track, step, the run's configuration (yaml), and which
    images it was trained on (fingerprint and number)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    metadata = {"difflab": difflab.__version__, "track": track, "step": str(step), "config": config}
    if data is not None:
        metadata["data"] = dumps(data)
    save_file({name: value.detach().float().cpu().contiguous() for name, value in weights.items()}, aside, metadata)
    os.replace(aside, path)


def export_all(directory: str | Path, checkpoint: dict, config: str, data: Mapping[str, Any]) -> list[Path]:
    """<directory>/<track>.safetensors for the online weights and every EMA track of a loaded checkpoint."""
    written = []
    for track, weights in model_weights(checkpoint).items():
        written.append(Path(directory) / f"{track}.safetensors")
        export_weights(written[-1], weights, track, checkpoint["global_step"], config, data)
    return written


def model_weights(checkpoint: dict) -> dict[str, dict[str, Tensor]]:
    """track -> the model's weights in a loaded checkpoint, EMA tracks first, then the online ones."""
    # the model is all that has weights in a module: whatever it is called there, the first word of every name is its own
    online = {name.partition(".")[2]: value for name, value in checkpoint["state_dict"].items()}
    shadows = checkpoint["callbacks"]["EMACallback"]["shadows"]
    return {**{track: {**online, **shadow} for track, shadow in shadows.items()}, "online": online}


def read_exported(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights and header of an exported file."""
    with safe_open(str(path), "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return weights, file.metadata() or {}


def read_header(path: str | Path) -> dict[str, str]:
    """The header of an exported file."""
    with safe_open(str(path), "pt") as file:
        return file.metadata() or {}


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """A hash of names and values of weights, the same wherever and in whatever order they are stored."""
    import hashlib

    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = value.detach().to(torch.float32).cpu().contiguous()
        digest.update(f"{name} {list(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
