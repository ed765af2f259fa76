"""Which of the processes this one is, and where the first one is, as whoever started them says."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment


@dataclass(frozen=True)
class Placement:
    """The place of a process.

    started_by      torchrun, srun or "" for a process alone
    address, port   where the processes meet
    hosted          whether somebody else (torchrun's agent) keeps the meeting place
    occasion        tells this start from others that meet in the same place
    """

    started_by: str
    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    hosted: bool
    occasion: str


ALONE = Placement("", rank=0, size=1, local_rank=0, local_size=1, address="", port=0, hosted=False, occasion="")


def placement() -> Placement:
    """The place of this process. Within a SLURM job, but not started by srun, it is alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return Placement(
            started_by="torchrun",
            rank=int(os.environ["RANK"]),
            size=int(os.environ["WORLD_SIZE"]),
            local_rank=int(os.environ["LOCAL_RANK"]),
            local_size=int(os.environ["LOCAL_WORLD_SIZE"]),
            address=os.environ["MASTER_ADDR"],
            port=int(os.environ["MASTER_PORT"]),
            hosted=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
            occasion=f"{os.environ['TORCHELASTIC_RUN_ID']}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}",
        )
    if "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        nodes_of_job, job = os.environ.get("SLURM_NODELIST", "127.0.0.1"), os.environ["SLURM_JOB_ID"]
        first = SLURMEnvironment.resolve_root_node_address(nodes_of_job)  # where Lightning's processes will meet
        size, nodes = int(os.environ["SLURM_STEP_NUM_TASKS"]), int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
        return Placement(
            started_by="srun",
            rank=int(os.environ["SLURM_PROCID"]),
            size=size,
            local_rank=int(os.environ["SLURM_LOCALID"]),
            local_size=-(-size // nodes),
            address=os.environ.get("MASTER_ADDR", first),
            port=int(os.environ.get("MASTER_PORT", 15000 + int(job[-4:]))),
            hosted=False,
            occasion=f"{job}.{os.environ['SLURM_STEP_ID']}",
        )
    return ALONE
