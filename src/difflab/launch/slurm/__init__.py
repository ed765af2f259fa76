"""Training as a SLURM job: submission, cluster profiles, and what happens when a job ends before the run does."""

from difflab.launch.slurm.attempt import ends_recorded, record_end, record_run
from difflab.launch.slurm.job import SlurmJob, SubmissionError
from difflab.launch.slurm.profile import Profile

__all__ = ["Profile", "SlurmJob", "SubmissionError", "ends_recorded", "record_end", "record_run"]
