"""The evaluations that are due of a training, as lines of shell.

    python -m difflab.studies.execution.due <plan.root> <number of the training>         # in slurm/evaluate.sbatch

`evaluate <key> <log> <arguments>` for each. The plan is read when the job runs: evaluations that were added while it waited are in it, and
those that somebody else has made meanwhile are not.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from difflab.studies.execution.places import Places
from difflab.studies.execution.tasks import read_tasks

_PYTHON_OPTIONS = 3
"""-m difflab evaluate: the batch script has them."""


def lines(root: Path, number: int) -> list[str]:
    """Nothing for a training that is in the study no longer."""
    places = Places(root)
    found = [task for task in read_tasks(root).values() if task.number == number]
    for task in found:
        if not task.is_complete():
            sys.exit(f"{task.directory} is not complete: nothing is evaluated")
    return [
        shlex.join(
            [
                "evaluate",
                one.key,
                str(places.log(one.row, one.seed)),
                *one.command(task.directory)[_PYTHON_OPTIONS:],
            ]
        )
        for task in found
        for one in task.due()
    ]


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1]), int(sys.argv[2]))))
