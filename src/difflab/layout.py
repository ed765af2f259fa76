"""How a module's weights lie over the processes.

On one process, and under DDP, each process holds all weights. FSDP and ZeRO-3 give each of W processes a share of every weight. An
average of weights needs no more than the shares: it is the same linear map of each element. The share of a weight w of n elements is any
tensor that this process can make of w alone, and from which all processes together can make w again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]


class Layout(ABC):
    """Shares of the trainable weights of a module, by the names that the module gives them.

    All processes call `put`, `whole` and `gradient_norm` together.
    """

    @abstractmethod
    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        """The trainable weights, in groups each of which torch's kernels treat together."""

    @abstractmethod
    def shares(self, module: nn.Module) -> dict[str, Tensor]:
        """This process's share of each weight as it is now: views, not copies."""

    @abstractmethod
    def put(self, module: nn.Module, shares: Mapping[str, Tensor]) -> None:
        """Gives the weights these values."""

    @abstractmethod
    def share(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This process's share of tensors that have the shapes of the weights, on the device of the weights."""

    @abstractmethod
    def whole(self, module: nn.Module, shares: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of which these are the shares; on process 0 only where they are not whole anyway."""

    @abstractmethod
    def gradient_norm(self, module: nn.Module) -> Tensor:
        """The 2-norm of the gradient of all weights, before clipping; not finite if any element is not."""


class WholeLayout(Layout):
    """Every process has all weights."""

    def groups(self, module: nn.Module) -> list[list[nn.Parameter]]:
        return [list(trainable(module).values())]

    def shares(self, module: nn.Module) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in trainable(module).items()}

    @torch.no_grad()
    def put(self, module: nn.Module, shares: Mapping[str, Tensor]) -> None:
        weights = self.shares(module)
        _foreach_copy_(list(weights.values()), [shares[name] for name in weights])

    def share(self, module: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: whole[name].to(p.device) for name, p in trainable(module).items()}

    def whole(self, module: nn.Module, shares: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(shares)

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
