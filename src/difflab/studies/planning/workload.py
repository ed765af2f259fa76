"""What a network costs, counted and not estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from difflab.networks import Network
from difflab.types import Condition


@dataclass(frozen=True)
class Workload:
    """A network in training.

    parameters        trained
    training_flops    of an image, forward and backward; a multiplication and an addition are two
    activation_bytes  of an image, kept from the forward to the backward pass
    operations        that the host starts for a forward and backward pass, whatever the number of images
    blocks            pieces in which weights come together under FSDP and ZeRO-3
    largest_block     weights of the largest of them
    averages          EMA tracks
    """

    parameters: int
    training_flops: float
    activation_bytes: float
    operations: int
    blocks: int
    largest_block: int
    averages: int = 1


def counted(network: Network, cond: Condition, blocks: Sequence[nn.Module], averages: int = 1) -> Workload:
    """One forward and backward pass of one image, in the network's own precision. A network on the meta device is counted without being
    computed: `with torch.device("meta"): network = UNet(...)`.

    cond     of that one image
    blocks   the modules whose weights come together (difflab.training.sharding.fsdp.repeated_blocks)
    """
    weight = next(network.parameters())
    size = network.image_size
    x = torch.zeros(1, network.in_channels, size, size, dtype=weight.dtype, device=weight.device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    kept = _Kept(parameters)
    flops, operations = FlopCounterMode(display=False), _Operations()
    with flops, operations:
        with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
            out = network(x, torch.zeros(1, device=weight.device), cond)
        out.sum().backward()
    network.zero_grad(set_to_none=True)
    count = sum(p.numel() for p in parameters)
    sizes = [sum(p.numel() for p in block.parameters() if p.requires_grad) for block in blocks]
    rest = count - sum(sizes)
    return Workload(
        count, flops.get_total_flops(), kept.bytes, operations.count, len(sizes) + 1, max([rest, *sizes]), averages
    )


class _Kept:
    """Bytes of the different storages that autograd keeps, without those of the weights."""

    def __init__(self, parameters: Sequence[Tensor]):
        self._seen: dict[int, torch.UntypedStorage] = {}  # holding them keeps their addresses from being used again
        self._weights = {p.untyped_storage()._cdata for p in parameters}

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._seen[storage._cdata] = storage
        return tensor

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._seen.values())


_FREE = ("view", "reshape", "expand", "permute", "transpose", "detach", "slice", "select", "split", "unsqueeze", "t.")
"""Operations that touch no element."""


class _Operations(TorchDispatchMode):
    """Counts operations that compute."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.__name__
        self.count += not name.startswith(_FREE)
        return func(*args, **(kwargs or {}))
