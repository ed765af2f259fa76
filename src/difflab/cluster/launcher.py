"""Where a command's work is done: here and now, or later and elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence


class SubmissionError(ValueError):
    """The work cannot be handed on to where it is to be done; the message says what to change."""


class Launcher(ABC):
    """Takes a checked command of train.py to where it runs.

    Attributes:
        starts_other_nodes: Whether it starts the processes of other machines, which trainer.num_nodes counts.
        makes_arrays: Whether a study can hand it all trainings at once: it has an `executor` of job arrays.
    """

    starts_other_nodes: bool = True
    makes_arrays: bool = False

    @abstractmethod
    def processes(self, here: int) -> int:
        """How many processes will train; `here` is how many the trainer would start by itself."""

    @abstractmethod
    def launch(self, work: Callable[[], float | None], overrides: Sequence[str], name: str) -> float | None:
        """Has the work done; returns its score, None if that is not known yet.

        Args:
            work: Does it in this process and returns the score.
            overrides: The command line's, from which another process can do the same work.
            name: Of the run, for people.
        """


class Local(Launcher):
    """Does the work here and now: on a laptop, under torchrun, or as one of the processes of a SLURM job."""

    starts_other_nodes = False

    def processes(self, here: int) -> int:
        return here

    def launch(self, work: Callable[[], float | None], overrides: Sequence[str], name: str) -> float | None:
        return work()
