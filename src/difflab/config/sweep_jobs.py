"""Rows of a sweep as jobs of submitit: waited for until each is over, whatever became of the others."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import submitit
from hydra.core.utils import JobReturn, JobStatus
from submitit.core import plugins
from submitit.core.utils import FailedJobError, UncompletedJobError

from difflab.cluster import SlurmExecutor

_PAUSE = 5.0
"""Seconds between questions to SLURM."""

_ASKED: dict[str, tuple[float, frozenset[str] | None]] = {}
"""Number of an array -> when SLURM was asked, and which of its tasks it still has; None if it did not answer."""


class LocalRow(submitit.LocalJob[Any]):
    """A process of this machine."""

    def results(self) -> list[Any]:
        try:
            return super().results()
        except (FailedJobError, UncompletedJobError):  # killed; its note says so
            return [_nothing()]


class SlurmRow(submitit.SlurmJob[Any]):
    """A task of a job array, which is requeued when its run is interrupted or its node dies: it is over when SLURM has it no more.

    submitit asks `sacct`, for which a requeued task has ended, and which many clusters do not have.
    """

    _gone_since: float | None = None

    def done(self, force_check: bool = False) -> bool:
        if self.paths.result_pickle.exists():
            return True
        there = _in_queue(self.job_id.partition("_")[0])
        if there is None or self.job_id in there:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = time.monotonic()
        return self._gone_since is not None and time.monotonic() > self._gone_since + 2 * _PAUSE

    def results(self) -> list[Any]:
        try:
            return super().results()
        except (FailedJobError, UncompletedJobError):
            return [_nothing()]


class SweepExecutor(SlurmExecutor):
    """difflab's executor by the name under which Hydra's launcher finds submitit's."""

    job_class = SlurmRow
    remedy = (
        ". Set what the cluster asks for, as hydra.launcher.partition=..., hydra.launcher.account=... or "
        "hydra.launcher.timeout_min=... (docs/slurm.md); `sinfo` lists the partitions"
    )

    @classmethod
    def name(cls) -> str:
        return submitit.SlurmExecutor.name()


def wait_for_all() -> None:
    """Has Hydra's launcher submit by difflab's executor, and wait for every row."""
    plugins._get_plugins()[0].append(SweepExecutor)  # the last one of a name counts
    submitit.LocalExecutor.job_class = LocalRow


def _in_queue(array: str) -> frozenset[str] | None:
    """The tasks of an array that SLURM has, those that wait included; None if it does not answer."""
    asked, there = _ASKED.get(array, (float("-inf"), None))
    if time.monotonic() < asked + _PAUSE:
        return there
    done = subprocess.run(
        ["squeue", "--noheader", "--array", f"--jobs={array}", "--format=%i"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    answered = done.returncode == 0 or "Invalid job id" in done.stderr  # it has forgotten the whole array
    there = frozenset(done.stdout.split()) if answered else None
    _ASKED[array] = time.monotonic(), there
    return there


def _nothing() -> JobReturn:
    """What a row returns that has not come to its end."""
    returned = JobReturn(status=JobStatus.COMPLETED)
    returned.return_value = None
    return returned
