"""Launching a study: what is missing or was interrupted is begun, and nothing twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from difflab.studies.execution.folder import StudyFolder
from difflab.studies.execution.preregistration import preregister
from difflab.studies.execution.queue import Queue, ask
from difflab.studies.execution.state import CellState, states
from difflab.studies.execution.tasks import Executor, Planned, TrainingTask, freeze
from difflab.studies.planning.plan import Plan


@dataclass(frozen=True)
class Decision:
    """What is done about a training and its evaluations.

    Attributes:
        training: Identity.
        row: Row of the first cell that needs it.
        seed: Seed of that cell.
        what: train, evaluate, or "" if nothing is done.
        why: The reason, for people.
    """

    training: str
    row: str
    seed: int
    what: str
    why: str


@dataclass(frozen=True)
class Launched:
    """What a launch has done.

    Attributes:
        decisions: One per training, in the plan's order.
        said: Lines of the executor.
    """

    decisions: list[Decision]
    said: list[str]

    @property
    def submitted(self) -> list[Decision]:
        return [one for one in self.decisions if one.what]

    @property
    def skipped(self) -> list[Decision]:
        return [one for one in self.decisions if not one.what]


def launch(plan: Plan, executor: Executor) -> Launched:
    """Submits what is missing, interrupted, or trained and not evaluated. Failed ones are left to `retry`."""
    preregister(plan)
    return _launch(plan, executor, None)


def retry(plan: Planned, executor: Executor, overrides: Sequence[str] = ()) -> Launched:
    """Submits the failed ones of a study that was launched, too; a diverged one only with overrides that let it get further.

    Args:
        plan: What is launched.
        executor: Runs it.
        overrides: Of train.py, that the failed trainings have from now on besides the study's. They must not change what the runs are:
            keys of where and how they run, and divergence=...
    """
    return _launch(plan, executor, tuple(overrides))


def _launch(plan: Planned, executor: Executor, retried: tuple[str, ...] | None) -> Launched:
    root = plan.root.resolve()
    with StudyFolder(root).launching():
        queue = ask(root)
        found = states(plan, queue)
        order = {training.identity: training.number for training in plan.trainings}
        found = sorted(found, key=lambda cell: order[cell.training])
        cells = {key: list(group) for key, group in groupby(found, key=lambda cell: cell.training)}
        decisions = [decide(group, queue, executor.waits_for_others, retried) for group in cells.values()]
        added: Mapping[str, Sequence[str]] = {}
        if retried:
            failed = {key for key, group in cells.items() if group[0].state == "failed" and not _trained(group)}
            added = {one.training: retried for one in decisions if one.what == "train" and one.training in failed}
        tasks = freeze(plan, added)
        trainings = _with_trunks([tasks[one.training] for one in decisions if one.what == "train"], tasks, queue)
        evaluations = [tasks[one.training] for one in decisions if one.what == "evaluate"]
        said = executor.submit(root, trainings, evaluations) if trainings or evaluations else []
    return Launched(decisions, said)


def _with_trunks(
    trainings: Sequence[TrainingTask], tasks: Mapping[str, TrainingTask], queue: Queue
) -> list[TrainingTask]:
    """The trainings, and before them those from whose ends they go on and that nobody trains yet."""
    keys = dict.fromkeys(task.after for task in trainings if task.after)
    due = [tasks[key] for key in keys if not tasks[key].is_complete() and key not in queue.trainings]
    return [*due, *trainings]


def decide(cells: Sequence[CellState], queue: Queue, waits: bool, retried: Sequence[str] | None) -> Decision:
    """Decides about the cells of one training.

    Args:
        cells: Its cells.
        queue: What waits or runs.
        waits: Whether the executor takes a training that somebody else works on.
        retried: The overrides for failed ones; None if they are left alone.
    """
    first, key = cells[0], cells[0].training
    failed = [cell for cell in cells if cell.state == "failed"]

    def about(what: str, why: str) -> Decision:
        return Decision(key, first.row, first.seed, what, why)

    place = queue.trainings.get(key) or (queue.evaluations.get(key) if _trained(cells) else None)
    if all(cell.state == "done" for cell in cells):
        return about("", "done")
    if place:
        return about("", f"in the queue: {place.where}")
    if failed and retried is None:
        others = [cell for cell in cells if cell.state == "trained"]
        if others:
            return about("evaluate", f"evaluation due, also of what failed before: {failed[0].error}")
        return about("", f"failed: {failed[0].error}; `retry` begins it again")
    if failed and any(cell.diverged for cell in failed) and not retried:
        return about(
            "", "diverged, and would do so again: give retry an override, as divergence=go_back or divergence=skip_step"
        )
    if _trained(cells):
        return about("evaluate", "failed before" if failed else "evaluation due")
    begun = next(cell for cell in cells if cell.state != "done")
    if begun.state in ("training", "evaluating") and not waits:
        return about("", f"somebody works on it ({begun.where}): launch again when that has ended")
    why = {"missing": "missing", "interrupted": "interrupted", "failed": "failed before"}
    return about("train", why.get(begun.state, f"somebody works on it ({begun.where}): its turn is afterwards"))


def _trained(cells: Sequence[CellState]) -> bool:
    """Whether the training is complete."""
    return (cells[0].run / "complete.json").exists()
