"""Examining the environment before hours are wasted: a file for every check."""

from difflab.launch.doctor.all_reduce import AllReduce
from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.clock_skew import ClockSkew
from difflab.launch.doctor.data_reachable import DataReachable
from difflab.launch.doctor.disk_space import DiskSpace
from difflab.launch.doctor.examination import Examination
from difflab.launch.doctor.finding import Finding, Verdict
from difflab.launch.doctor.gpus import GPUs
from difflab.launch.doctor.open_files import OpenFiles
from difflab.launch.doctor.report import Report
from difflab.launch.doctor.shared_folder import SharedFolder
from difflab.launch.doctor.shared_memory import SharedMemory
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
