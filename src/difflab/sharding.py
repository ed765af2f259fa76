"""How a module's weights are sharded over the processes.

On one process, and under DDP, each process holds all weights. FSDP and ZeRO-3 give each of W processes a shard of every weight. An
average of weights needs no more than the shards: it is the same linear map of each element. The shard of a weight w of n elements is any
tensor that this process can make of w alone, and from which all processes together can make w again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]

from difflab.buffers import swapped


class Sharding(ABC):
    """Shards of the trainable weights of a module, by the names that the module gives them.

    All processes call `load`, `gather` and `gradient_norm` together.

    Attributes:
        gradients_are_whole: Whether each process has the gradient of every weight, averaged over the processes.
    """

    gradients_are_whole: bool = False

    @abstractmethod
    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        """The trainable weights, in groups each of which torch's kernels treat together."""

    @abstractmethod
    def local_shards(self, module: nn.Module) -> dict[str, Tensor]:
        """This process's shard of each weight as it is now: views, not copies."""

    @abstractmethod
    def load(self, module: nn.Module, shards: Mapping[str, Tensor]) -> None:
        """Gives the weights the values that these are the shards of."""

    @abstractmethod
    def lent(self, module: nn.Module, shards: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Within the context the module has other weights, of which these are the shards.

        A gradient that is still to go through the module's own weights, which are there again afterwards, is that of its own.
        """

    @abstractmethod
    def shard(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This process's shards of tensors that have the shapes of the weights, on the device of the weights."""

    @abstractmethod
    def gather(self, module: nn.Module, shards: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The whole tensors of which these are the shards; on process 0 only where they are not whole anyway."""

    @abstractmethod
    def gradient_norm(self, module: nn.Module) -> Tensor:
        """The 2-norm of the gradient of all weights, before clipping; not finite if any element is not."""


@contextmanager
def copied_in(sharding: Sharding, module: nn.Module, shards: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the context the module has weights that are copied to where its own are, which are copied back."""
    own = {key: w.clone() for key, w in sharding.local_shards(module).items()}
    torch.clear_autocast_cache()
    try:
        sharding.load(module, shards)
        yield
    finally:
        torch.clear_autocast_cache()
        sharding.load(module, own)


class WholeWeights(Sharding):
    """Every process has all weights, whatever becomes of the gradients."""

    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        return [list(trainable(module).values())]

    def local_shards(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in trainable(module).items()}

    @torch.no_grad()
    def load(self, module: nn.Module, shards: Mapping[str, Tensor]) -> None:
        weights = self.local_shards(module)
        _foreach_copy_(list(weights.values()), [shards[name] for name in weights])

    def lent(self, module: nn.Module, shards: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return swapped(trainable(module), shards)

    def shard(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: whole[name].to(p.device) for name, p in trainable(module).items()}

    def gather(self, module: nn.Module, shards: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(shards)


class Unsharded(WholeWeights):
    """Every process has all weights and all gradients."""

    gradients_are_whole = True

    def gradient_norm(self, module: nn.Module) -> Tensor:
        return torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None])


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def check_no_scalars(module: nn.Module) -> None:
    """Checks that DeepSpeed can divide the weights.

    Raises:
        ValueError: Some are scalars, tensors without a dimension.
    """
    if scalars := [name for name, p in trainable(module).items() if not p.dim()]:
        raise ValueError(
            f"DeepSpeed cannot divide weights that are scalars: {', '.join(scalars)}. Give them the shape [1], or use strategy=ddp or fsdp"
        )
