"""Tensors by name from a file of weights, without running what else may be in it.

Three kinds are read: safetensors, what torch.save wrote of a state dict (tensors and plain containers alone: weights_only), and a
TorchScript archive, of which the parameters and buffers are taken and no method is called: one that has a method for being loaded,
which could write files, is refused.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from difflab.reading import FileError
from difflab.reading.archives import open_zip, read_member
from difflab.reading.errors import reason
from difflab.reading.weights import read_checkpoint, read_safetensors

_SOURCE = 2**24
"""Bytes of a source in a TorchScript archive, at most."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU. ValueError if the file is damaged or holds something else."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    state = _of_torchscript(path) if is_torchscript(path) else read_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no tensors by name (expected a state dict)")
    return dict(state)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with open_zip(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> dict[str, Tensor]:
    with open_zip(path) as archive:
        sources = [name for name in archive.namelist() if name.endswith(".py")]
        if any(b"__setstate__" in read_member(archive, name, _SOURCE) for name in sources):
            raise FileError(
                f"{path} cannot be read as weights: it is a program that runs when loaded (__setstate__); save its state_dict()"
            )
    with warnings.catch_warnings():
        # torch.jit is deprecated as a way to run networks; files that were published in it stay
        warnings.simplefilter("ignore")
        try:
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        except Exception as error:  # its reader is C++, and raises whatever it meets
            raise FileError(f"{path} cannot be read as weights ({reason(error)}). Get it again.") from error
