"""What can be wrong with a machine or a cluster, found before a run."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.cluster.doctor.check import Check, Examination, Finding, Measured, NotApplicableError, Report, Verdict
    from difflab.cluster.doctor.cluster_checks import ClockSkew, DataReachable, SharedFolder
    from difflab.cluster.doctor.job_checks import AllReduce, SlurmLimits
    from difflab.cluster.doctor.machine_checks import DiskSpace, GPUs, OpenFiles, SharedMemory
    from difflab.cluster.doctor.run_checks import Versions, WandbLogin

__all__ = [
    "AllReduce",
    "Check",
    "ClockSkew",
    "DataReachable",
    "DiskSpace",
    "Examination",
    "Finding",
    "GPUs",
    "Measured",
    "NotApplicableError",
    "OpenFiles",
    "Report",
    "SharedFolder",
    "SharedMemory",
    "SlurmLimits",
    "Verdict",
    "Versions",
    "WandbLogin",
]

on_demand(__name__)
