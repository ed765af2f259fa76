"""Training as a SLURM job: submission, cluster profiles, and what happens when a job ends before the run does."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.launch.slurm.attempt import ends_recorded, record_end, record_run
    from difflab.launch.slurm.job import SlurmJob, SubmissionError
    from difflab.launch.slurm.profile import Profile

__all__ = [
    "Profile",
    "SlurmJob",
    "SubmissionError",
    "ends_recorded",
    "record_end",
    "record_run",
]

on_demand(__name__)
