"""Where the weights are under FSDP2: each is a DTensor that is cut along its first dimension."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from difflab.layout import Layout, trainable


class ShardedLayout(Layout):
    """A process's share is its piece of the DTensor, with no elements where there is less to cut than there are processes."""

    def shares(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: p.to_local().detach() for name, p in sharded(module).items()}

    @torch.no_grad()
    def put(self, module: nn.Module, shares: Mapping[str, Tensor]) -> None:
        weights = self.shares(module)
        _foreach_copy_(list(weights.values()), [shares[name] for name in weights])

    def share(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: cut(whole[name], p).to_local() for name, p in sharded(module).items()}

    def whole(self, module: nn.Module, shares: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, p in sharded(module).items():
            together = joined(shares[name], p)
            if dist.get_rank() == 0:
                found[name] = together
        return found

    def gradient_norm(self, module: nn.Module) -> Tensor:
        norm = torch.nn.utils.get_total_norm([p.grad for p in sharded(module).values() if p.grad is not None])
        return norm.full_tensor() if isinstance(norm, DTensor) else norm


def sharded(module: nn.Module) -> dict[str, DTensor]:
    """The trainable weights as this process holds them between the steps."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()  # a forward pass without a backward pass may have left it whole
    return {name: p for name, p in trainable(module).items() if isinstance(p, DTensor)}


def cut(whole: Tensor, like: DTensor) -> DTensor:
    """A whole tensor, which every process has, cut as the weight is."""
    return distribute_tensor(whole.detach().to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def joined(share: Tensor, like: DTensor) -> Tensor:
    """The tensor of a weight's shape whose pieces the processes hold, on the host."""
    placed = DTensor.from_local(
        share.detach(), like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return placed.full_tensor().cpu()
