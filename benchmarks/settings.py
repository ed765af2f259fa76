"""What one may choose of a run of the benchmarks."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """rounds   turns of every contender that count
    quick    smallest sizes that still run all of the code: what the tests use. Figures mean nothing
    device   where networks run
    scratch  a folder for files, deleted afterwards
    """

    rounds: int
    quick: bool
    device: torch.device
    scratch: Path
