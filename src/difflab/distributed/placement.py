"""Which of the processes this one is, and where the first one is, as whoever started them says."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass

from difflab.runtime.process import in_step

MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE")
"""Variables by which mpirun (Open MPI, MVAPICH, MPICH and Intel's) says how many processes it has started."""


@dataclass(frozen=True)
class Placement:
    """The place of a process.

    Attributes:
        started_by: Torchrun, srun or "" for a process alone.
        address: Where the processes meet.
        port: See `address`.
        hosted: Whether somebody else (torchrun's agent) keeps the meeting place.
        occasion: Tells this start from others that meet in the same place.
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
    """The place of this process. Within a SLURM job, but not started by srun, it is alone.

    The step of srun counts, and not the job around it, its name, or the options by which it was asked for.

    Raises:
        ValueError: Somebody has started several processes in a way in which they cannot be connected.
    """
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
    if in_step():
        size, nodes = int(os.environ["SLURM_STEP_NUM_TASKS"]), int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
        job, step = os.environ["SLURM_JOB_ID"], int(os.environ["SLURM_STEP_ID"])
        nodelist = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_NODELIST", "127.0.0.1")
        return Placement(
            started_by="srun",
            rank=int(os.environ["SLURM_PROCID"]),
            size=size,
            local_rank=int(os.environ["SLURM_LOCALID"]),
            local_size=-(-size // nodes),
            address=os.environ.get("MASTER_ADDR", first_node(nodelist)),
            port=int(os.environ.get("MASTER_PORT", 15000 + (int(job[-4:]) + 1009 * step) % 16000)),
            hosted=False,
            occasion=f"{job}.{step}",
        )
    started = next((int(os.environ[name]) for name in MPI_SIZES if os.environ.get(name, "").isdigit()), 1)
    if started > 1:
        raise ValueError(
            f"mpirun has started {started} processes, which it does not connect: use srun in its place, or torchrun --nproc_per_node N"
        )
    return ALONE


def started_shape() -> tuple[int, int] | None:
    """(processes on this machine, machines) if torchrun or srun has started several processes, or torchrun one; None if not.

    Raises:
        ValueError: They cannot be connected, or the machines do not have the same number of them.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        starter, size, local = "torchrun", int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        where = f"{local} of them on this machine"
    elif (place := placement()) == ALONE:
        return None
    else:
        starter, size, local = place.started_by, place.size, place.local_size
        where = f"{os.environ.get('SLURM_STEP_TASKS_PER_NODE', local)} on its machines (say --ntasks-per-node)"
    nodes, rest = divmod(size, local)
    if rest:
        raise ValueError(f"{starter} has started {size} processes, {where}: every machine needs as many")
    return local, nodes


def idle_tasks() -> int:
    """Tasks of the SLURM allocation that are not used, since srun has not started this process; 0 where all is well."""
    if "SLURM_JOB_ID" not in os.environ or "SLURM_STEP_ID" in os.environ:
        return 0
    return int(os.environ.get("SLURM_NTASKS", "1")) - 1


def host() -> str:
    """This machine, by the name under which SLURM knows it, if it does."""
    return os.environ.get("SLURMD_NODENAME") or platform.node()


def first_node(nodelist: str) -> str:
    """Of SLURM's short form: node[5-9,12] -> node5."""
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodelist).split(",")[0]
