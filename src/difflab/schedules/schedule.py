"""What a noise schedule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain

from jaxtyping import Float64
from torch import Tensor, nn

from difflab.types import AlphaSigma


class NoiseSchedule(ABC):
    """t in [0, 1] -> (alpha_t, sigma_t); the log-SNR log(alpha^2 / sigma^2) falls with t.

    One that learns is a module besides, `class Learned(nn.Module, NoiseSchedule)`: the model that has it then trains its weights, averages
    and saves them with its own. Its values are computed anew whenever they are asked for, on the device of t.

    Attributes:
        steps: The number of steps of a discrete schedule; None for one in continuous time.
        endless: Whether levels go on beyond t = 1: the same formula then holds at times above 1, where a sampler with churn may go (Karras
            et al. 2022, algorithm 2, which knows no largest level). False for a table, and for one that is defined on [0, 1] alone.
    """

    steps: int | None
    endless: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether its values never change, so that they may be kept. Those of a module follow its weights."""
        return not isinstance(self, nn.Module) or not any(True for _ in chain(self.parameters(), self.buffers()))

    @abstractmethod
    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        """Signal and noise scale at times t."""

    @abstractmethod
    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The number by which the network is told of the time t: the papers' 0-based step number for a discrete schedule."""

    @abstractmethod
    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The training time that a uniform u in (0, 1) stands for: u itself, or the step into whose 1/T-th part it falls."""
