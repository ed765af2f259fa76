"""FSDP2 for Lightning, with checkpoints that are those of one process.

Lightning's own ModelParallelStrategy leaves the cutting to the module and reads and writes checkpoints of its own kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from difflab.distributed.group import sum_over_processes
from difflab.networks import networks_of
from difflab.runtime.process import SLACK
from difflab.sharding import Sharding, copied_in, trainable
from difflab.training.sharding.strategy import (
    ShardedStrategy,
    TrainingStrategy,
    by_name,
    canonical,
    check_sharded_precision,
    is_elementwise,
    take_options,
    timeout_of,
)


class FSDPSharding(Sharding):
    """A process's shard is its piece of the DTensor, with no elements where there is less to cut than there are processes.

    Weights outside of the networks (a schedule that learns) are few, and every process has them whole.
    """

    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        cut_up: list[nn.Parameter] = [p for p in trainable(module).values() if isinstance(p, DTensor)]
        return [group for group in (cut_up, kept_whole(module)) if group]

    def local_shards(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: local(p).detach() for name, p in between_steps(module).items()}

    @torch.no_grad()
    def load(self, module: nn.Module, shards: Mapping[str, Tensor]) -> None:
        weights = self.local_shards(module)
        _foreach_copy_(list(weights.values()), [shards[name] for name in weights])

    def lent(self, module: nn.Module, shards: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return copied_in(self, module, shards)

    def shard(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: local(cut(whole[name], p)) for name, p in between_steps(module).items()}

    def gather(self, module: nn.Module, shards: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, p in between_steps(module).items():
            together = joined(shards[name], p)
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


def joined(shard: Tensor, like: Tensor) -> Tensor:
    """The tensor of a weight's shape whose pieces the processes hold, on the host."""
    if not isinstance(like, DTensor):
        return shard.detach().cpu()
    placed = DTensor.from_local(
        shard.detach(), like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return placed.full_tensor().cpu()


class FullyShardedStrategy(ShardedStrategy):
    """The model is not wrapped but its networks cut in place.

    Weights of the model outside of its networks stay whole on every process, with gradients that are averaged after each backward pass.
    """

    def setup(self, trainer: pl.Trainer) -> None:
        module = self.placed(trainer)
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for network in networks_of(module.model):
            for block in repeated_blocks(network):
                fully_shard(block, mesh=mesh, reshard_after_forward=True)
            fully_shard(network, mesh=mesh, reshard_after_forward=True)  # what the blocks have left over
        module.shard_as(FSDPSharding())
        self.setup_optimizers(trainer)
        self.setup_precision_plugin()
        self.barrier()

    def post_backward(self, closure_loss: Tensor) -> None:
        """Averages the gradients of weights that are not cut. What earlier micro-batches left there is equal everywhere and stays."""
        weights = kept_whole(self.module.model)
        if not weights:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
        here = torch.tensor([p.grad is not None for p in weights], device=self.root_device)
        *summed, everywhere = sum_over_processes([*(g.double() for g in gradients), here.double()])
        for p, total, count in zip(weights, summed, everywhere.tolist(), strict=True):
            if count:
                p.grad = (total / self.world_size).to(p.dtype)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """All weights on the host, on process 0 alone."""
        module = self.module
        between_steps(module)
        found = {}
        for name, value in module.state_dict().items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            if self.is_global_zero:
                found[name] = whole.cpu()
        return found

    @torch.no_grad()
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        module = self.module
        mine = module.state_dict()
        given = {
            name: cut(value, mine[name]) if isinstance(mine.get(name), DTensor) else value
            for name, value in checkpoint["state_dict"].items()
        }
        module.load_state_dict(given, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        plain = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        weights = between_steps(self.module.model)
        states: dict[str, dict[str, Any]] = {name: {} for name in weights}
        for name, p in weights.items():
            for key, value in plain.state.get(p, {}).items():
                whole = joined(local(value), p) if is_elementwise(key, value, p) else value
                if self.is_global_zero:
                    states[name][key] = whole
        return canonical(self.module, states, plain)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        (optimizer,), (saved,) = self.optimizers, checkpoint["optimizer_states"]
        weights = between_steps(self.module.model)
        for name, state in by_name(self.module, saved, optimizer).items():
            p = weights[name]
            optimizer.state[p] = {key: cut(v, p) if is_elementwise(key, v, p) else v for key, v in state.items()}
        take_options(saved, optimizer)


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """The elements of the module's lists: what is computed one after the other, so that only one has to be whole at a time."""
    found: list[nn.Module] = []
    for child in module.children():
        if not isinstance(module, nn.ModuleList) or isinstance(child, nn.ModuleList):
            found += repeated_blocks(child)
        elif any(p.requires_grad for p in child.parameters()):
            found.append(child)
    return found


class FSDP(TrainingStrategy):
    """Each process keeps 1/W of the weights, gradients and optimizer state; a block's weights come together while it computes.

    It is torch's FSDP2, `fully_shard`.

    Args:
        timeout: Minutes that a process waits for the others before it fails.
    """

    def __init__(self, timeout: float = 30):
        self.timeout = timeout_of(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        check_sharded_precision("fsdp", precision)

    def lightning(self, processes: int) -> FullyShardedStrategy:
        return FullyShardedStrategy(timeout=self.timeout + SLACK)
