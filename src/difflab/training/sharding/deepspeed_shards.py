"""How DeepSpeed's ZeRO shards weights and gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]

from difflab.sharding import Sharding, WholeWeights, copied_in, trainable


class ZeROSharding(Sharding):
    """A sharding that also knows what DeepSpeed's optimizer steps on.

    Args:
        optimizer: DeepSpeed's.
    """

    def __init__(self, optimizer: Any):
        self.optimizer = optimizer

    @abstractmethod
    def flat_pieces(self) -> list[Tensor]:
        """The flat pieces of the weights, in float32, that the plain optimizer of this process updates."""

    @abstractmethod
    def link_state(self) -> None:
        """Tells DeepSpeed that the plain optimizer's state has been made for all pieces."""

    @abstractmethod
    def load_state(self, weight: nn.Parameter, whole: Tensor, key: str) -> None:
        """Gives the plain optimizer's quantity `key` of a weight the values of a tensor of its shape."""


class ZeRO2Sharding(WholeWeights, ZeROSharding):
    """Stages 1 and 2: every process has all weights; gradients and optimizer state are divided."""

    def gradient_norm(self, module: nn.Module) -> Tensor:
        return _finite_or_nan(self.optimizer.scaled_global_norm())

    def flat_pieces(self) -> list[Tensor]:
        return list(self.optimizer.single_partition_of_fp32_groups)

    def link_state(self) -> None:
        self.optimizer._hp_optimizer_states_linked = False  # DeepSpeed links once, after the step of its first group
        self.optimizer._lazy_init_hp_params_optimizer_state()

    def load_state(self, weight: nn.Parameter, whole: Tensor, key: str) -> None:
        from deepspeed.utils.tensor_fragment import safe_set_full_optimizer_state

        safe_set_full_optimizer_state(weight, whole, key)


class ZeRO3Sharding(ZeROSharding):
    """Stage 3: a weight of n elements is flattened, filled up to W ceil(n / W) elements, and each of W processes has one W-th.

    Small weights are besides kept whole everywhere, as copies.
    """

    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        return [list(trainable(module).values())]

    def local_shards(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: _partition(p).data for name, p in trainable(module).items()}

    @torch.no_grad()
    def load(self, module: nn.Module, shards: Mapping[str, Tensor]) -> None:
        self.optimizer.parameter_offload.partition_all_parameters()
        weights = self.local_shards(module)
        _foreach_copy_(list(weights.values()), [shards[name] for name in weights])
        copies = self.optimizer.persistent_parameters
        if copies:
            copies[0].all_gather(copies)

    def lent(self, module: nn.Module, shards: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return copied_in(self, module, shards)

    def shard(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _cut(whole[name], _partition(p)) for name, p in trainable(module).items()}

    def gather(self, module: nn.Module, shards: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, p in trainable(module).items():
            device, shape = self.optimizer.device, _shape(p)
            mine = shards[name].to(device)
            together = torch.empty(dist.get_world_size() * mine.numel(), dtype=mine.dtype, device=device)
            dist.all_gather_into_tensor(together, mine)
            if dist.get_rank() == 0:
                found[name] = together[: shape.numel()].view(shape).cpu()
        return found

    def gradient_norm(self, module: nn.Module) -> Tensor:
        from deepspeed.runtime.utils import combine_grad_norm_groups

        return _finite_or_nan(combine_grad_norm_groups(self.optimizer._get_norm_groups()))

    def flat_pieces(self) -> list[Tensor]:
        return list(self.optimizer.fp32_partitioned_groups_flat)

    def link_state(self) -> None:
        return  # it is found by piece

    def load_state(self, weight: nn.Parameter, whole: Tensor, key: str) -> None:
        from deepspeed.utils.tensor_fragment import safe_set_local_optimizer_state

        # DeepSpeed's own cut of a whole tensor fails where its elements are no multiple of the processes
        safe_set_local_optimizer_state(weight, _cut(whole, _partition(weight)), key)


def _partition(p: Any) -> Tensor:
    return p.ds_tensor


def _shape(p: Any) -> torch.Size:
    return p.ds_shape


def _cut(whole: Tensor, like: Tensor) -> Tensor:
    """This process's W-th of a flattened tensor."""
    flat, count, first = whole.flatten(), like.numel(), dist.get_rank() * like.numel()
    shard = torch.zeros(count, dtype=torch.float32, device=like.device)
    mine = flat[first : first + count]
    shard[: mine.numel()] = mine.to(like.device)
    return shard


def _finite_or_nan(norm: Tensor) -> Tensor:
    """DeepSpeed says -1 where a norm is not finite."""
    return torch.where(norm < 0, torch.full_like(norm, torch.nan), norm)
