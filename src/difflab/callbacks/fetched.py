"""Values on their way from a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


class Fetched:
    """A copy in the host's memory of a small tensor, which is there when the device has come to where it was asked.

    Asking makes nobody wait: the copy queues behind the kernels that compute the tensor, and an event behind the copy. What is in the
    host's memory anyway is there at once.
    """

    def __init__(self, there: Tensor):
        self._arrived: torch.cuda.Event | None = None
        if there.device.type != "cuda":
            self._here = there
            return
        self._here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
        self._here.copy_(there, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(there.device))

    @property
    def may_wait(self) -> bool:
        """Whether `value` waits for a device, be it for no time: all processes of a training are told the same."""
        return self._arrived is not None

    def value(self) -> Tensor:
        """Waits for it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._here
