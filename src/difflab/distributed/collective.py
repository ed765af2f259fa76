"""Sums and collections over the processes of a run. With one process every function here returns its argument's values."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(tensors: list[Tensor]) -> list[Tensor]:
    """Each tensor summed over all processes: new tensors, one all-reduce for the whole list (equal dtypes)."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    if world_size() > 1:
        dist.all_reduce(flat)
    parts = flat.split([t.numel() for t in tensors])
    return [part.reshape(t.shape) for part, t in zip(parts, tensors, strict=True)]


def from_first_process(tensors: list[Tensor]) -> list[Tensor]:
    """The values that process 0 holds, on every process; the others' tensors say only shape and dtype (all equal dtypes)."""
    mine = tensors if rank() == 0 else [torch.zeros_like(t) for t in tensors]
    return sum_over_processes(mine)


def gathered(column: Tensor) -> Tensor:
    """The tensors [n] of all processes after each other, [W n]."""
    if world_size() == 1:
        return column
    parts = [torch.empty_like(column) for _ in range(world_size())]
    dist.all_gather(parts, column.contiguous())
    return torch.cat(parts)


def first_text(text: str | None) -> str:
    """The text of the first process that has one, on every process; empty if none has."""
    texts: list[str | None] = [text]
    if world_size() > 1:
        texts = [None] * world_size()
        dist.all_gather_object(texts, text)
    return next((found for found in texts if found is not None), "")
