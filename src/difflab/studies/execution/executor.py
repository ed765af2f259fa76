"""Where a study's tasks are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from difflab.studies.execution.tasks import TrainingTask


class LaunchError(ValueError):
    """A study cannot be launched or cancelled; the message says what to do."""


class Executor(ABC):
    """Takes tasks, and does not wait for their end."""

    @property
    @abstractmethod
    def waits_for_others(self) -> bool:
        """Whether a training that somebody else is working on may be given to it."""

    @abstractmethod
    def submit(self, root: Path, trainings: Sequence[TrainingTask], evaluations: Sequence[TrainingTask]) -> list[str]:
        """Has them run; says in lines what was done.

        root          of the plan
        trainings     to be trained, then evaluated
        evaluations   trainings that are complete, of which evaluations are due
        """

    @abstractmethod
    def cancel(self, root: Path) -> list[str]:
        """Stops what waits and runs of the study here; runs save. Says in lines what was done."""
