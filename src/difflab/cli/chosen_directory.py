"""Where a run is kept: one choice for all of its processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

_CHOSEN = "DIFFLAB_RUN_DIRECTORY"


def chosen_directory(config: DictConfig, name: str) -> str:
    """The run's directory. Processes that Lightning, torchrun or a job start use the one that the first process has chosen."""
    from difflab.launch import launched_rank
    from difflab.launch.slurm import agreed_in_job
    from difflab.launch.world import agreed_under_torchrun, torchrun_shape
    from difflab.runs import attempt_directory

    parent = f"{config.run.root}/{config.run.name}"

    def choose() -> str:
        return str(attempt_directory(parent, name, config.run.restart))

    if torchrun_shape() is not None:
        return agreed_under_torchrun(f"{parent}/{name}", choose)
    agreed = agreed_in_job(name, choose)
    if agreed is not None:
        return agreed
    if launched_rank() == 0 or _CHOSEN not in os.environ:
        os.environ[_CHOSEN] = choose()
    return os.environ[_CHOSEN]
