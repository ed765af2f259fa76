"""Where each cell of a study is, from what lies on disk and what the queues say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from difflab.reading import read_json
from difflab.runs import RunDirectory, RunLock
from difflab.runs.names import identity_of
from difflab.runtime import REQUEUE_EXIT_CODE
from difflab.runtime.exit_codes import BUSY_EXIT_CODE
from difflab.studies.execution.holding import is_held
from difflab.studies.execution.last_words import last_error
from difflab.studies.execution.places import Places
from difflab.studies.execution.progress import Progress, progress_of
from difflab.studies.execution.queue import Queue
from difflab.studies.execution.record import Record, read_record
from difflab.studies.execution.submissions import EVALUATE, TRAIN, Submission, newest, read_submissions
from difflab.studies.execution.tasks import evaluation_key, is_whole
from difflab.studies.planning.plan import Cell, Training

State = Literal["done", "evaluating", "trained", "training", "queued", "interrupted", "failed", "missing"]
"""trained: its evaluation is due. interrupted: goes on when it is launched. failed: waits for a retry. missing: not begun."""

DIVERGED = 3
"""Exit status of a diverged training."""


class Planned(Protocol):
    """Of a plan, what tells where its runs are."""

    @property
    def root(self) -> Path: ...

    @property
    def trainings(self) -> Sequence[Training]: ...

    @property
    def cells(self) -> Sequence[Cell]: ...

    @property
    def cited(self) -> Sequence[str]: ...

    def training(self, cell: Cell) -> Training: ...

    def batch(self, row: str) -> int: ...


@dataclass(frozen=True)
class CellState:
    """training           identity
    run                 directory
    step, steps         done, and of the whole training
    images_per_second   and
    seconds_left        while it trains
    where               it waits or runs
    error               of a failed one
    diverged            the same command would diverge again
    """

    row: str
    seed: int
    training: str
    run: Path
    state: State
    step: int
    steps: int
    images_per_second: float | None = None
    seconds_left: float | None = None
    where: str = ""
    error: str = ""
    diverged: bool = False


@dataclass(frozen=True)
class _Found:
    """Of a training or an evaluation: what its cell's state is."""

    state: State
    where: str = ""
    error: str = ""
    diverged: bool = False


def states(plan: Planned, queue: Queue) -> list[CellState]:
    """One for each cell of the plan, in its order."""
    places = Places(plan.root.resolve())
    submissions = read_submissions(places)
    trained, evaluated = newest(submissions, TRAIN), newest(submissions, EVALUATE)
    rows = {cell.training: cell.row for cell in reversed(plan.cells)}
    known = frozenset(training.identity for training in plan.trainings)
    runs = {t.number: t.directory for t in plan.trainings}
    trainings = {
        t.number: _training(
            t,
            runs[t.number],
            places,
            places.log(t.name.rpartition("/")[2], t.seed),
            queue,
            trained.get(t.identity),
            known,
        )
        for t in plan.trainings
        if t.number in rows
    }
    found = []
    for cell in plan.cells:
        training, run, state = plan.training(cell), runs[cell.training], trainings[cell.training]
        if is_whole(run / cell.folder / "results.json"):
            state = _Found("done")
        elif state.state == "trained":
            state = _evaluation(cell, training.identity, places, queue, evaluated.get(training.identity))
        progress = _progress(state.state, run, training.steps)
        left = None
        if state.state == "training":
            left = progress.seconds_left(training.steps, plan.batch(cell.row))
        found.append(
            CellState(
                cell.row,
                cell.seed,
                training.identity,
                run,
                state.state,
                progress.step,
                training.steps,
                progress.images_per_second if state.state == "training" else None,
                left,
                state.where,
                state.error,
                state.diverged,
            )
        )
    return found


def _training(
    training: Training,
    run: Path,
    places: Places,
    log: Path,
    queue: Queue,
    submitted: tuple[Submission, str] | None,
    known: frozenset[str],
) -> _Found:
    """The state of a training: trained, training, queued, interrupted, failed or missing."""
    if (run / "complete.json").exists():
        return _Found("trained")
    place, key = queue.trainings.get(training.identity), training.identity
    if is_held(places.lock(key)) or RunLock(run).is_held() or (place and place.running):
        return _Found("training", place.where if place else _holder(run))
    if place:
        return _Found("queued", place.where)
    record, start = read_record(places.record(key)), _last_start(run)
    if record and submitted and submitted[0].submitted > record.started:
        record = None
    if record and start and start.get("started", "") > (record.ended or record.started) and record.ended:
        record = None  # somebody has gone on with it since
    if record and record.exit_code == BUSY_EXIT_CODE:
        record = None  # somebody else was at it, and how that has ended is what counts
    outcome = start.get("outcome", "killed") if start else "missing"
    if outcome in ("interrupted", "went back") and (record is None or record.exit_code in (None, REQUEUE_EXIT_CODE)):
        return _Found("interrupted")
    if record and (record.cancelled or not record.ended or record.exit_code == REQUEUE_EXIT_CODE):
        return _Found("interrupted" if start else "missing")
    if (
        record
        and not record.error
        and record.exit_code == 0
        and not run.exists()
        and not _strangers(training.parent, known)
    ):
        return _Found("missing")  # somebody has deleted it
    if record:
        return _Found("failed", error=_reason(record, outcome, run, log), diverged=record.exit_code == DIVERGED)
    if submitted and submitted[0].cancelled:
        return _Found("interrupted" if start else "missing")
    if submitted and (log.exists() or start):
        lost = f"there is no run in {run}: nothing is evaluated" if outcome == "missing" else outcome
        return _Found("failed", error=last_error(log) or lost, diverged=outcome == "diverged")
    if not start:
        return _Found("missing")
    words = {"killed": "killed: it did not say how it ended", "diverged": "diverged"}
    return _Found("failed", error=words.get(outcome, outcome), diverged=outcome == "diverged")


def _evaluation(
    cell: Cell, identity: str, places: Places, queue: Queue, submitted: tuple[Submission, str] | None
) -> _Found:
    """The state of a cell without results whose training is complete: evaluating, queued, failed or trained."""
    key = evaluation_key(identity, cell.folder)
    place, record = queue.evaluations.get(identity), read_record(places.record(key))
    if is_held(places.lock(key)):
        return _Found("evaluating", record.where if record else "")
    if place:
        return _Found("evaluating" if place.running else "queued", place.where)
    if record is None or record.cancelled or not record.ended or record.exit_code == REQUEUE_EXIT_CODE:
        return _Found("trained")
    if submitted and submitted[0].submitted > record.started:
        return _Found("trained")
    return _Found("failed", error=_words(record, places.log(cell.row, cell.seed)))


def _strangers(parent: Path, known: frozenset[str]) -> bool:
    """Whether there are runs that the plan does not know."""
    return parent.is_dir() and any(
        identity_of(path) not in known for path in parent.iterdir() if (path / "config.yaml").exists()
    )


def _reason(record: Record, outcome: str, run: Path, log: Path) -> str:
    if record.exit_code == 0:
        ended = record.error or f"the command ended well and {run} is not complete"
        return f"{ended}: was the configuration, difflab, code of one's own or the feature extractor changed since the study was planned?"
    return f"diverged: {_words(record, log)}" if outcome == "diverged" else _words(record, log)


def _words(record: Record, log: Path) -> str:
    return record.error or last_error(log) or f"exit status {record.exit_code}"


def _last_start(run: Path) -> Mapping[str, str]:
    """What provenance.json says of the last start; {} if there was none."""
    try:
        starts = RunDirectory(run).starts()
    except ValueError:
        return {}
    if not starts or "started" not in starts[-1]:
        return {}
    last = starts[-1]
    return last | {"started": datetime.fromisoformat(last["started"]).isoformat(timespec="seconds")}


def _holder(run: Path) -> str:
    try:
        holder = read_json(run / "lock.json")
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        return ""


def _progress(state: State, run: Path, steps: int) -> Progress:
    if state in ("done", "trained", "evaluating"):
        return Progress(steps)
    return Progress() if state == "missing" else progress_of(run)
