"""Where work is done: here, or as a job of SLURM that starts again until its run is complete; and `doctor`, which examines both."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.cluster.job import SlurmJob
    from difflab.cluster.launcher import Launcher, Local, SubmissionError
    from difflab.cluster.slurm import Profile, SlurmExecutor, load_profile

__all__ = [
    "Launcher",
    "Local",
    "Profile",
    "SlurmExecutor",
    "SlurmJob",
    "SubmissionError",
    "load_profile",
]

on_demand(__name__)
