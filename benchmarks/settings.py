"""What one may choose of a run of the benchmarks."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """How benchmarks run.

    Attributes:
        rounds: Turns of every contender that count.
        quick: Smallest sizes that still run all of the code: what the tests use. Figures mean nothing.
        device: Where networks run.
        scratch: A folder for files, deleted afterwards.
    """

    rounds: int
    quick: bool
    device: torch.device
    scratch: Path

    @property
    def warm_up(self) -> int:
        """Turns of every contender that do not count."""
        return 0 if self.quick else 1
