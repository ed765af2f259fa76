"""The plan frozen on disk: what is to be run, for processes that do not compose configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from difflab.files import write_json
from difflab.reading import read_json
from difflab.runs import attempt_directory
from difflab.studies.execution.places import Places
from difflab.studies.planning.plan import Plan


@dataclass(frozen=True)
class EvaluationTask:
    """A cell.

    key        of its record and lock
    arguments  of evaluate.py, all but checkpoint= and out=
    folder     of its results within the run
    """

    key: str
    row: str
    seed: int
    arguments: tuple[str, ...]
    folder: str

    def command(self, run: Path) -> tuple[str, ...]:
        """Arguments of `python`."""
        return ("-m", "difflab", "evaluate", *self.arguments, f"checkpoint={run}", f"out={run / self.folder}")

    def is_done(self, run: Path) -> bool:
        return is_whole(run / self.folder / "results.json")


@dataclass(frozen=True)
class TrainingTask:
    """A training and what is drawn from it.

    key         its identity
    number      in job arrays; the identity keeps it when rows come and go
    row         the first one that needs it
    arguments   of train.py
    """

    key: str
    number: int
    row: str
    seed: int
    parent: Path
    arguments: tuple[str, ...]
    steps: int
    evaluations: tuple[EvaluationTask, ...]

    @property
    def directory(self) -> Path:
        return attempt_directory(self.parent, self.key, self.seed, restart=False)

    def command(self) -> tuple[str, ...]:
        """Arguments of `python`."""
        return ("-m", "difflab", "train", *self.arguments)

    def is_complete(self) -> bool:
        return (self.directory / "complete.json").exists()

    def due(self) -> list[EvaluationTask]:
        """Evaluations without results."""
        run = self.directory
        return [one for one in self.evaluations if not one.is_done(run)]


def evaluation_key(identity: str, folder: str) -> str:
    return f"{identity}.{Path(folder).name}"


def is_whole(results: Path) -> bool:
    """Whether results are there, and not torn."""
    try:
        return "measurements" in read_json(results)
    except (OSError, ValueError, TypeError):
        return False


def freeze(plan: Plan, retried: Mapping[str, Sequence[str]]) -> dict[str, TrainingTask]:
    """Writes the plan, and gives its tasks back by key. Trainings that were in an earlier one keep their numbers.

    retried   identity -> overrides that a training is to have from now on, besides the plan's
    """
    places = Places(plan.root.resolve())
    with places.writing():
        before = _content(places)
        numbers: dict[str, int] = before.get("numbers", {})
        added: dict[str, list[str]] = before.get("added", {}) | {key: list(words) for key, words in retried.items()}
        cells: dict[int, list[EvaluationTask]] = {}
        for cell in plan.cells:
            key = evaluation_key(plan.training(cell).identity, cell.folder)
            task = EvaluationTask(key, cell.row, cell.seed, cell.overrides, cell.folder)
            cells.setdefault(cell.training, []).append(task)
        for training in plan.trainings:
            numbers.setdefault(training.identity, len(numbers))
        tasks = {
            t.identity: TrainingTask(
                t.identity,
                numbers[t.identity],
                t.name.rpartition("/")[2],
                t.seed,
                t.parent.resolve(),
                (*t.overrides, *added.get(t.identity, ())),
                t.steps,
                tuple(cells.get(t.number, ())),
            )
            for t in plan.trainings
        }
        rows = [asdict(task) | {"parent": str(task.parent)} for task in tasks.values()]
        content = {
            "study": plan.study.name,
            "folder": str(Path.cwd()),
            "numbers": numbers,
            "added": added,
            "trainings": rows,
        }
        write_json(places.plan, content)
    return tasks


def read_tasks(root: Path) -> dict[str, TrainingTask]:
    """Of the plan that was frozen last."""
    return {row["key"]: _task(row) for row in _content(Places(root)).get("trainings", [])}


def working_folder(root: Path) -> str:
    """Where commands run: relative paths in them are meant from there."""
    return _content(Places(root))["folder"]


def _task(row: dict[str, Any]) -> TrainingTask:
    cells = [EvaluationTask(**cell | {"arguments": tuple(cell["arguments"])}) for cell in row["evaluations"]]
    return TrainingTask(
        **row | {"parent": Path(row["parent"]), "arguments": tuple(row["arguments"]), "evaluations": tuple(cells)}
    )


def _content(places: Places) -> dict[str, Any]:
    return read_json(places.plan, limit=2**28) if places.plan.exists() else {}
