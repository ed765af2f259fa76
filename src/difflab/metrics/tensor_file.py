"""Tensors by name from a file of weights, without running what else may be in it.

Three kinds are read: safetensors, what torch.save wrote of a state dict (tensors and plain containers alone: weights_only), and a
TorchScript archive, of which the parameters and buffers are taken and no method is called: one that has a method for being loaded,
which could write files, is refused.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_SOURCE = 2**24
"""Bytes of a source in a TorchScript archive, at most."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU. ValueError if the file is damaged or holds something else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = _of_torchscript(path) if is_torchscript(path) else torch.load(path, "cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        first = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(f"{path} cannot be read as weights: {first}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no tensors by name (expected a state dict)")
    return dict(state)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        sources = [member for member in archive.infolist() if member.filename.endswith(".py")]
        if any(one.file_size > _SOURCE or b"__setstate__" in archive.read(one) for one in sources):
            raise ValueError(
                "it is a program that runs when it is loaded (__setstate__); save its state_dict() instead"
            )
    with warnings.catch_warnings():
        # torch.jit is deprecated as a way to run networks; files that were published in it stay
        warnings.simplefilter("ignore")
        return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
