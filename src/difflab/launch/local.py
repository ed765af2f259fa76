"""This process, and those that the trainer starts beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from difflab.launch.launcher import Launcher


class Local(Launcher):
    """Does the work here and now: on a laptop, under torchrun, or as one of the processes of a SLURM job."""

    def processes(self, here: int) -> int:
        return here

    def launch(self, work: Callable[[], float | None], overrides: Sequence[str], name: str) -> float | None:
        return work()
