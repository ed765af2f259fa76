"""The coefficients of all steps of a walk, before it begins."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Shaped
from torch import Tensor


def by_step(columns: Iterable[Shaped[Tensor, " n"]], images: Tensor) -> list[tuple[Shaped[Tensor, " b"], ...]]:
    """For each of N steps its value of each column, said of every image [B, C, H, W].

    Coefficients are the same for all images of a batch and known before the first step. Computed for all steps at once, on the CPU, they
    cost a step nothing but views, in place of some thirty operations on a handful of numbers; and no GPU is asked for a number, which
    would make everything wait for it.

    columns   one value per step each
    """
    rows = (column.to(images.device)[:, None].expand(-1, len(images)).unbind() for column in columns)
    return list(zip(*rows, strict=True))
