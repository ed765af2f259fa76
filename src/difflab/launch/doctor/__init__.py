"""Examining the environment before hours are wasted: a file for every check."""

from difflab.launch.doctor.all_reduce import AllReduce
from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.cluster_checks import ClockSkew, DataReachable, SharedFolder
from difflab.launch.doctor.examination import Examination
from difflab.launch.doctor.finding import Finding, Report, Verdict
from difflab.launch.doctor.machine_checks import DiskSpace, GPUs, OpenFiles, SharedMemory
from difflab.launch.doctor.slurm_limits import SlurmLimits
from difflab.launch.doctor.versions import Versions
from difflab.launch.doctor.wandb_login import WandbLogin
from difflab.launch.group import Group, ProcessMissingError
from difflab.launch.placement import ALONE, Placement, placement

__all__ = [
    "ALONE",
    "AllReduce",
    "Check",
    "ClockSkew",
    "DataReachable",
    "DiskSpace",
    "Examination",
    "Finding",
    "GPUs",
    "Group",
    "Measured",
    "NotApplicableError",
    "OpenFiles",
    "Placement",
    "ProcessMissingError",
    "Report",
    "SharedFolder",
    "SharedMemory",
    "SlurmLimits",
    "Verdict",
    "Versions",
    "WandbLogin",
    "placement",
]
