"""Weights as safetensors: for sampling and for other programs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

import difflab
from difflab.ema import PostHoc
from difflab.files import WriteError, atomic_file
from difflab.networks import weights_sha256
from difflab.reading import FileError
from difflab.reading.arrays import opened_safetensors, read_checkpoint
from difflab.reading.json import dumps, fields

_WEIGHTS, _HEADER = "weights_sha256", "header_sha256"
"""Names in the header."""

_REMEDY = "Copy it again from where it is intact, or name the run's directory or a .ckpt of it"


def export_weights(
    path: str | Path,
    weights: dict[str, Tensor],
    track: str,
    step: int,
    config: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model's weights with what is needed to use them in the header.

    That is track, step, the run's configuration (yaml), and which images it was trained on (fingerprint and number); and hashes of all
    that, by which damage is found when the file is read.
    """
    metadata = {"difflab": difflab.__version__, "track": track, "step": str(step), "config": config}
    if data is not None:
        metadata["data"] = dumps(data)
    written = {name: _stored(value) for name, value in weights.items()}
    metadata[_WEIGHTS] = weights_sha256(written)
    metadata[_HEADER] = _header_sha256(metadata)
    try:
        with atomic_file(path) as aside:
            save_file(written, aside, metadata)
    except SafetensorError as error:  # it says so of a full disk, too
        raise WriteError.of(path, error) from error


def _stored(value: Tensor) -> Tensor:
    """A weight or a buffer in its own type, half precision as float32."""
    wide = torch.promote_types(value.dtype, torch.float32) if value.is_floating_point() else value.dtype
    return value.detach().to(wide).cpu().contiguous()


def export_all(
    directory: str | Path,
    checkpoint: dict,
    config: str,
    data: Mapping[str, Any],
    merged: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> list[Path]:
    """<directory>/<track>.safetensors for the online weights and every EMA track of a loaded checkpoint.

    Args:
        directory: Of the files.
        checkpoint: The content.
        config: The run's configuration (yaml).
        data: Which images it was trained on.
        merged: Makes the model's own weights of those that an adapter has added to.
    """
    written = []
    for track, weights in model_weights(checkpoint).items():
        written.append(Path(directory) / f"{track}.safetensors")
        export_weights(written[-1], merged(weights), track, checkpoint["global_step"], config, data)
    return written


def model_weights(checkpoint: dict) -> dict[str, dict[str, Tensor]]:
    """track -> the model's weights in a loaded checkpoint, EMA tracks first, then the online ones."""
    # the model is all that has weights in a module: whatever it is called there, the first word of every name is its own
    online = {name.partition(".")[2]: value for name, value in checkpoint["state_dict"].items()}
    shadows = checkpoint["callbacks"]["EMACallback"]["shadows"]
    return {**{track: {**online, **shadow} for track, shadow in shadows.items()}, "online": online}


def read_run(path: str | Path) -> dict[str, Any]:
    """A checkpoint of a run, checked for what `model_weights` takes from it.

    Raises:
        FileError: It is damaged, or another program's.
    """
    checkpoint = fields(read_checkpoint(path), path, {"state_dict": dict, "callbacks": dict, "global_step": int})
    ema = fields(checkpoint["callbacks"].get("EMACallback"), f"{path}: its EMA", {"shadows": dict})
    for part in (checkpoint["state_dict"], *ema["shadows"].values()):
        if not isinstance(part, dict) or not all(isinstance(value, Tensor) for value in part.values()):
            raise FileError(
                f"{path} holds something else than weights by name: it is no checkpoint of a run. Get it again."
            )
    return checkpoint


def read_exported(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads weights and header of an exported file. Files of earlier versions carry no hashes and are read as they are.

    Raises:
        ValueError: The file is damaged.
    """
    with opened_safetensors(path, _REMEDY) as file:
        header = _checked(path, file.metadata() or {})
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if header.get(_WEIGHTS, (found := weights_sha256(weights))) != found:
        raise ValueError(
            _damaged(path, f"its weights have the sha256 {found[:12]}, written were {header[_WEIGHTS][:12]}")
        )
    return weights, header


def reconstruct(directory: str | Path, std: float) -> tuple[dict[str, Tensor], int]:
    """The average of the wanted length at the last snapshot's step, and that step."""
    paths = sorted(Path(directory).glob("step-*-std-*.safetensors"))
    if not paths:
        raise ValueError(
            f"there are no snapshots in {directory}: train with 'ema=[power_function]' (better with two lengths) and "
            "ema_snapshots.every > 0 to reconstruct averages afterwards"
        )
    steps = [int(path.stem.split("-")[1]) for path in paths]
    stds = [float(path.stem.split("-")[3]) for path in paths]
    posthoc = PostHoc(std)
    coefficients = posthoc.coefficients(steps, stds, max(steps))
    return posthoc.combine([read_exported(path)[0] for path in paths], coefficients), max(steps)


def fingerprints(models: Mapping[str, nn.Module]) -> dict[str, str]:
    """Name -> hash of the weights of a model."""
    return {name: weights_sha256(model.state_dict()) for name, model in models.items()}


def read_header(path: str | Path) -> dict[str, str]:
    """Reads the header of an exported file.

    Raises:
        ValueError: The header is damaged.
    """
    with opened_safetensors(path, _REMEDY) as file:
        return _checked(path, file.metadata() or {})


def _checked(path: str | Path, header: dict[str, str]) -> dict[str, str]:
    if _HEADER in header and header[_HEADER] != _header_sha256(header):
        raise ValueError(_damaged(path, "its header is not what was written"))
    return header


def _header_sha256(header: Mapping[str, str]) -> str:
    text = dumps({name: value for name, value in header.items() if name != _HEADER}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: str | Path, how: str) -> str:
    return f"{path} is damaged ({how}). {_REMEDY}"
