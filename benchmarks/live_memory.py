"""The most bytes of tensors alive at a time, counted exactly and on any device.

Resident memory cannot show how a step's memory grows: the allocator keeps what was freed, and a small step after a large one costs nothing.
Here every storage that an operation makes is counted while it lives. Not seen is what a kernel takes for itself and gives back.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that `work` has alive at the most, of those that it makes itself."""
    gc.collect()
    with _Counting() as counting:
        work()
    return counting.peak


def bytes_of(tensors: Sequence[Tensor]) -> int:
    """Of their storages, shared ones once."""
    return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())


class _Counting(TorchDispatchMode):
    """Sees every operation, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {_key(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            # what came in was made before, or is known already; a view has the storage of what it shows
            if isinstance(tensor, Tensor) and not {_key(tensor)} & (self._alive | given):
                self._count(tensor.untyped_storage())
        self.peak = max(self.peak, self._now)
        return result

    def _count(self, storage: UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._alive.add(key)
        self._now += size
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self._now -= size


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
