"""What training takes of this process's memory, or of the GPU's."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.contenders import Contender
from benchmarks.peers.work import Work

STEPS = 2
"""In the second one there are moments and averages from the first, beside activations and gradients."""


def peak_of(
    contender: Contender, architecture: Architecture, tiny: Architecture, batch: int, device: torch.device, folder: Path
) -> tuple[int, Work]:
    """Bytes at the most, above those before the network was built, and what the training is.

    tiny   trained first, on the same device: libraries, and what they set up at the first step, are then there and not counted
    """
    first = contender.training(replace(tiny, recompute=architecture.recompute), 1, device, folder / "first")
    first.run(1)
    first.close()
    del first
    gc.collect()
    before = _begin(device)
    training = contender.training(architecture, batch, device, folder)
    training.run(STEPS)
    peak = _peak(device)
    training.close()
    return peak - before, training.work


def _begin(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept would be used again unseen
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # the peak is from now on (proc(5)); getrusage's has that of the parent
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int:
    """Bytes of a line of /proc/self/status, which has kB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
