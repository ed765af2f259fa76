"""Where the weights are under FSDP2: each of the network's is a DTensor that is cut along its first dimension."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from difflab.layout import Layout, trainable


class ShardedLayout(Layout):
    """A process's share is its piece of the DTensor, with no elements where there is less to cut than there are processes.

    Weights outside of the network (a schedule that learns) are few, and every process has them whole.
    """

    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        cut_up: list[nn.Parameter] = [p for p in trainable(module).values() if isinstance(p, DTensor)]
        return [group for group in (cut_up, kept_whole(module)) if group]

    def shares(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: local(p).detach() for name, p in between_steps(module).items()}

    @torch.no_grad()
    def put(self, module: nn.Module, shares: Mapping[str, Tensor]) -> None:
        weights = self.shares(module)
        _foreach_copy_(list(weights.values()), [shares[name] for name in weights])

    def share(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: local(cut(whole[name], p)) for name, p in between_steps(module).items()}

    def whole(self, module: nn.Module, shares: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, p in between_steps(module).items():
            together = joined(shares[name], p)
            if dist.get_rank() == 0:
                found[name] = together
        return found

    def gradient_norm(self, module: nn.Module) -> Tensor:
        between_steps(module)
        norms = []
        for group in self.groups(module):
            norm = nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])
            norms.append(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        return norms[0] if len(norms) == 1 else nn.utils.get_total_norm(norms)


def between_steps(module: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable weights as this process holds them between the steps."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()  # a forward pass without a backward pass may have left it whole
    return trainable(module)


def kept_whole(module: nn.Module) -> list[nn.Parameter]:
    """The trainable weights that are not cut."""
    return [p for p in trainable(module).values() if not isinstance(p, DTensor)]


def local(weight: Tensor) -> Tensor:
    """What this process has of it."""
    return weight.to_local() if isinstance(weight, DTensor) else weight


def cut(whole: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every process has, cut as the weight is."""
    there = whole.detach().to(like.device)
    if not isinstance(like, DTensor):
        return there
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def joined(share: Tensor, like: Tensor) -> Tensor:
    """The tensor of a weight's shape whose pieces the processes hold, on the host."""
    if not isinstance(like, DTensor):
        return share.detach().cpu()
    placed = DTensor.from_local(
        share.detach(), like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return placed.full_tensor().cpu()
