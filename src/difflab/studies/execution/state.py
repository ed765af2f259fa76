"""The state of each cell of a study, from what lies on disk and what the queues say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from difflab.reading import read_json
from difflab.runs import RunDirectory, RunLock
from difflab.runs.listing import identity_of
from difflab.runs.metrics_file import rows_from_end
from difflab.runtime import REQUEUE_EXIT_CODE
from difflab.runtime.process import BUSY_EXIT_CODE
from difflab.studies.execution.folder import Record, StudyFolder, is_held, is_whole, last_error, read_record
from difflab.studies.execution.queue import EVALUATE, TRAIN, Queue, Submission, ask, newest, read_submissions
from difflab.studies.execution.tasks import Planned, evaluation_key
from difflab.studies.planning.plan import Cell, Training

State = Literal["done", "evaluating", "trained", "training", "queued", "interrupted", "failed", "missing"]
"""trained: its evaluation is due. interrupted: goes on when it is launched. failed: waits for a retry. missing: not begun."""

DIVERGED = 3
"""Exit status of a diverged training."""


@dataclass(frozen=True)
class CellState:
    """Where a cell is.

    Attributes:
        training: Identity.
        run: Directory.
        step: Optimizer steps done.
        steps: Optimizer steps of the whole training.
        images_per_second: While it trains, as `seconds_left`.
        where: Where it waits or runs.
        error: Of a failed one.
        diverged: The same command would diverge again.
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
    """The state of a training or an evaluation, which is its cell's."""

    state: State
    where: str = ""
    error: str = ""
    diverged: bool = False


def states(plan: Planned, queue: Queue | None = None) -> list[CellState]:
    """One for each cell of the plan, in its order.

    Args:
        plan: Tells where its runs are.
        queue: What waits or runs; None asks for it.
    """
    root, runs = plan.root.resolve(), {t.number: t.directory for t in plan.trainings}
    done = {cell for cell in plan.cells if is_whole(runs[cell.training] / cell.folder / "results.json")}
    unfinished = [cell for cell in plan.cells if cell not in done]
    known = _unfinished(plan, unfinished, runs, ask(root) if queue is None else queue) if unfinished else {}
    found = []
    for cell in plan.cells:
        training, run, state = plan.training(cell), runs[cell.training], known.get(cell, _Found("done"))
        step, speed, left = _progress(state.state, run, training.steps, plan.batch(cell.row))
        found.append(
            CellState(
                cell.row,
                cell.seed,
                training.identity,
                run,
                state.state,
                step,
                training.steps,
                speed,
                left,
                state.where,
                state.error,
                state.diverged,
            )
        )
    return found


def _unfinished(plan: Planned, cells: Sequence[Cell], runs: Mapping[int, Path], queue: Queue) -> dict[Cell, _Found]:
    """The states of cells that have no result; of a training that several of them have in common it is found once."""
    folder = StudyFolder(plan.root.resolve())
    submissions = read_submissions(folder)
    trained, evaluated = newest(submissions, TRAIN), newest(submissions, EVALUATE)
    known = frozenset(training.identity for training in plan.trainings)
    trainings: dict[int, _Found] = {}
    trunks = {
        one.identity: _training(
            one,
            one.directory,
            folder,
            folder.log(one.name.rpartition("/")[2], one.seed),
            queue,
            trained.get(one.identity),
            frozenset(),
        )
        for one in plan.trunks
    }
    found = {}
    for cell in cells:
        of = plan.training(cell)
        if of.number not in trainings:
            log, run = folder.log(of.name.rpartition("/")[2], of.seed), runs[of.number]
            trainings[of.number] = _training(of, run, folder, log, queue, trained.get(of.identity), known)
            if of.after in trunks and trainings[of.number].state in ("missing", "queued"):
                trainings[of.number] = _behind(trunks[of.after], trainings[of.number])
        state = trainings[of.number]
        if state.state == "trained":
            state = _evaluation(cell, of.identity, folder, queue, evaluated.get(of.identity))
        found[cell] = state
    return found


def _behind(trunk: _Found, own: _Found) -> _Found:
    """The state of a training that has not begun and goes on from the end of another one, whose state is known."""
    if trunk.state == "failed":
        return _Found("failed", error=f"the training before it: {trunk.error}", diverged=trunk.diverged)
    if trunk.state == "training":
        return _Found("queued", f"the training before it runs ({trunk.where})")
    return own


def _training(
    training: Training,
    run: Path,
    folder: StudyFolder,
    log: Path,
    queue: Queue,
    submitted: tuple[Submission, str] | None,
    known: frozenset[str],
) -> _Found:
    """The state of a training: trained, training, queued, interrupted, failed or missing."""
    if (run / "complete.json").exists():
        return _Found("trained")
    place, key = queue.trainings.get(training.identity), training.identity
    if is_held(folder.lock(key)) or RunLock(run).is_held() or (place and place.running):
        return _Found("training", place.where if place else _holder(run))
    if place:
        return _Found("queued", place.where)
    record, start = read_record(folder.record(key)), _last_start(run)
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
    cell: Cell, identity: str, folder: StudyFolder, queue: Queue, submitted: tuple[Submission, str] | None
) -> _Found:
    """The state of a cell without results whose training is complete: evaluating, queued, failed or trained."""
    key = evaluation_key(identity, cell.folder)
    place, record = queue.evaluations.get(identity), read_record(folder.record(key))
    if is_held(folder.lock(key)):
        return _Found("evaluating", record.where if record else "")
    if place:
        return _Found("evaluating" if place.running else "queued", place.where)
    if record is None or record.cancelled or not record.ended or record.exit_code == REQUEUE_EXIT_CODE:
        return _Found("trained")
    if submitted and submitted[0].submitted > record.started:
        return _Found("trained")
    return _Found("failed", error=_words(record, folder.log(cell.row, cell.seed)))


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


def _progress(state: State, run: Path, steps: int, batch: int) -> tuple[int, float | None, float | None]:
    """(optimizer step, images per second, seconds left); the last two while it trains, where the log's end tells them.

    Evaluations and saving are left out of the seconds, and come on top.
    """
    if state in ("done", "trained", "evaluating"):
        return steps, None, None
    step = 0
    try:
        for row in islice(rows_from_end(run / "metrics.jsonl"), 100) if state != "missing" else ():
            step = max(step, int(row["step"]))
            speed = row.get("train/images_per_second", math.nan)
            if math.isfinite(speed):
                if state != "training":
                    break
                return step, speed, max(0, steps - step) * batch / speed if speed else None
    except OSError:  # it has not logged yet
        pass
    return step, None, None


def notes_of(subject: Mapping[str, Any]) -> tuple[str, ...]:
    """The notes of an evaluation, by the `subject` of its results.json."""
    notes = subject.get("notes")
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def seconds_of(subject: Mapping[str, Any]) -> float | None:
    """The seconds that an image took to be drawn, by the same; None where nobody has looked at the clock."""
    seconds = subject.get("seconds_per_image")
    return seconds if isinstance(seconds, float) else None


def told_notes(of: Mapping[tuple[str, int], Sequence[str]]) -> list[str]:
    """A sentence for each note, with the rows and seeds that have it.

    Args:
        of: (row, seed) -> notes.
    """
    rows: dict[str, dict[str, list[int]]] = {}
    for (row, seed), notes in of.items():
        for note in notes:
            rows.setdefault(note, {}).setdefault(row, []).append(seed)
    return [f"{note.rstrip('.')} (evaluations of {_named(found)})." for note, found in rows.items()]


def _named(rows: Mapping[str, Sequence[int]]) -> str:
    return "; ".join(f"{row}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" for row, seeds in rows.items())
