"""What a contender does for an image, counted and not estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Work:
    """The size of a training.

    Attributes:
        parameters: That are trained.
        training_gflop: Of an image, forward and backward, 10^9; a multiplication and an addition are two.
    """

    parameters: int
    training_gflop: float

    @staticmethod
    def counted(network: nn.Module, loss: Callable[[], Tensor]) -> Work:
        """Counted once.

        Attention is counted as two matrix products whoever computes it: torch's counter does not know the fused kernel of a CPU.

        Args:
            network: That is trained.
            loss: Of one image.
        """
        flops = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), flops:
            loss().backward()
        network.zero_grad(set_to_none=True)
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        return Work(parameters, flops.get_total_flops() / 1e9)

    def equals(self, other: Work) -> bool:
        """As many parameters, and the same computation up to a thousandth."""
        same = abs(self.training_gflop / other.training_gflop - 1) < 1e-3
        return self.parameters == other.parameters and same
