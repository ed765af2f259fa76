"""The tasks of a plan, written when it is launched, for processes that do not compose configurations.

    python -m difflab.studies.execution.tasks <plan.root> <key of a training>         # in slurm/evaluate.sh

prints its pending evaluations as lines of shell, `evaluate <key> <log> <arguments>` each. The tasks are read when the job runs: evaluations
that were added while it waited are among them, and those that somebody else has made meanwhile are not.
"""

from __future__ import annotations

import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from difflab.files import write_json
from difflab.reading import read_json
from difflab.runs import attempt_directory
from difflab.studies.execution.folder import StudyFolder, is_whole
from difflab.studies.planning.plan import Cell, Training

OPTIONS = 3
"""-m difflab <command>: how a task's arguments of python begin; batch scripts have these words themselves."""


class Planned(Protocol):
    """What of a plan tells where its runs are."""

    @property
    def root(self) -> Path: ...

    @property
    def trainings(self) -> Sequence[Training]: ...

    @property
    def trunks(self) -> Sequence[Training]: ...

    @property
    def cells(self) -> Sequence[Cell]: ...

    @property
    def cited(self) -> Sequence[str]: ...

    def training(self, cell: Cell) -> Training: ...

    def batch(self, row: str) -> int: ...


@dataclass(frozen=True)
class EvaluationTask:
    """The evaluation of a cell.

    Attributes:
        key: Names its record and lock.
        row: Row of the cell.
        seed: Seed of the cell.
        arguments: Of evaluate.py, all but checkpoint= and out=.
        folder: Of its results within the run.
    """

    key: str
    row: str
    seed: int
    arguments: tuple[str, ...]
    folder: str

    def command(self, run: Path) -> tuple[str, ...]:
        """The arguments of `python`."""
        return ("-m", "difflab", "evaluate", *self.arguments, f"checkpoint={run}", f"out={run / self.folder}")

    def is_done(self, run: Path) -> bool:
        return is_whole(run / self.folder / "results.json")


@dataclass(frozen=True)
class TrainingTask:
    """A training and what is evaluated of it.

    Attributes:
        key: Its identity.
        row: The first row that needs it.
        seed: Its seed.
        parent: Folder of its run directory.
        arguments: Of train.py.
        steps: Optimizer steps of the whole training.
        evaluations: Of its weights, for one or more rows.
        after: Key of the training that must be complete before it begins; empty for none.
    """

    key: str
    row: str
    seed: int
    parent: Path
    arguments: tuple[str, ...]
    steps: int
    evaluations: tuple[EvaluationTask, ...]
    after: str = ""

    @property
    def directory(self) -> Path:
        return attempt_directory(self.parent, self.key, self.seed, restart=False)

    def command(self) -> tuple[str, ...]:
        """The arguments of `python`."""
        return ("-m", "difflab", "train", *self.arguments)

    def is_complete(self) -> bool:
        return (self.directory / "complete.json").exists()

    def pending(self) -> list[EvaluationTask]:
        """The evaluations without results."""
        run = self.directory
        return [one for one in self.evaluations if not one.is_done(run)]


class LaunchError(ValueError):
    """A study cannot be launched or cancelled; the message says what to do."""


class Executor(ABC):
    """Takes tasks, and does not wait for their end. Beside it stands a `cancel` for all that was given to such executors of a study."""

    @property
    @abstractmethod
    def waits_for_others(self) -> bool:
        """Whether a training that somebody else is working on may be given to it."""

    @abstractmethod
    def submit(self, root: Path, trainings: Sequence[TrainingTask], evaluations: Sequence[TrainingTask]) -> list[str]:
        """Has tasks run.

        Args:
            root: Folder of the plan.
            trainings: To be trained, then evaluated.
            evaluations: Trainings that are complete, of which evaluations are pending.

        Returns:
            Lines that say what was done.
        """


def evaluation_key(identity: str, folder: str) -> str:
    return f"{identity}.{Path(folder).name}"


def freeze(plan: Planned, retried: Mapping[str, Sequence[str]]) -> dict[str, TrainingTask]:
    """Writes the tasks of a plan.

    Args:
        plan: What is launched.
        retried: Identity -> overrides that a training is to have from now on, besides the plan's.

    Returns:
        The tasks by key.
    """
    folder = StudyFolder(plan.root.resolve())
    with folder.writing():
        added: dict[str, list[str]] = _content(folder).get("added", {})
        added |= {key: list(words) for key, words in retried.items()}
        cells: dict[int, list[EvaluationTask]] = {}
        for cell in plan.cells:
            key = evaluation_key(plan.training(cell).identity, cell.folder)
            task = EvaluationTask(key, cell.row, cell.seed, cell.overrides, cell.folder)
            cells.setdefault(cell.training, []).append(task)
        tasks = {
            t.identity: TrainingTask(
                t.identity,
                t.name.rpartition("/")[2],
                t.seed,
                t.parent.resolve(),
                (*t.overrides, *added.get(t.identity, ())),
                t.steps,
                tuple(cells.get(t.number, ())),
                t.after,
            )
            for t in (*plan.trunks, *plan.trainings)
        }
        rows = [asdict(task) | {"parent": str(task.parent)} for task in tasks.values()]
        content = {
            "study": plan.root.name,
            "folder": str(Path.cwd()),
            "added": added,
            "trainings": rows,
        }
        write_json(folder.plan, content)
    return tasks


def read_tasks(root: Path) -> dict[str, TrainingTask]:
    """The tasks of the plan that was launched last, by key."""
    return {row["key"]: _task(row) for row in _content(StudyFolder(root)).get("trainings", [])}


def working_folder(root: Path) -> str:
    """The folder in which commands run: relative paths in them are meant from there."""
    return _content(StudyFolder(root))["folder"]


def _task(row: dict[str, Any]) -> TrainingTask:
    cells = [EvaluationTask(**cell | {"arguments": tuple(cell["arguments"])}) for cell in row["evaluations"]]
    known = {key: value for key, value in row.items() if key != "number"}  # of earlier versions
    return TrainingTask(
        **known | {"parent": Path(row["parent"]), "arguments": tuple(row["arguments"]), "evaluations": tuple(cells)}
    )


def _content(folder: StudyFolder) -> dict[str, Any]:
    return read_json(folder.plan, limit=2**28) if folder.plan.exists() else {}


def pending_as_shell(root: Path, key: str) -> list[str]:
    """The pending evaluations of a training as lines of shell; none of one that is in the study no longer."""
    folder, task = StudyFolder(root), read_tasks(root).get(key)
    if task is None:
        return []
    if not task.is_complete():
        sys.exit(f"{task.directory} is not complete: nothing is evaluated")
    return [
        shlex.join(["evaluate", one.key, str(folder.log(one.row, one.seed)), *one.command(task.directory)[OPTIONS:]])
        for one in task.pending()
    ]


if __name__ == "__main__":
    print("\n".join(pending_as_shell(Path(sys.argv[1]), sys.argv[2])))
