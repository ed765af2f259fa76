"""Floating-point operations of a piece of work, attention on a CPU included.

torch's counter (2.14) knows the fused attention of GPUs and not that of CPUs, which would count for nothing. Its products are q k^T and
(weights) v, [n x d] by [d x n] and [n x n] by [n x d], for each example and head; the backward pass computes the first again and has
four more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def flops_of(work: Callable[[], object]) -> int:
    """A multiplication and an addition are two."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    with FlopCounterMode(display=False, custom_mapping={attention: _forward, backward: _backward}) as counter:
        work()
    return counter.get_total_flops()


def _forward(query: Any, key: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * _product(query, key)


def _backward(grad: Any, query: Any, key: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 5 * _product(query, key)


def _product(query: Any, key: Any) -> int:
    """Of one product, of shapes [B, heads, n, d] and [B, heads, m, d]."""
    batch, heads, n, d = query
    return 2 * batch * heads * n * key[2] * d
