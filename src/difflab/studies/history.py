"""What a run logged while it trained, against steps, images, computation or time."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from difflab.runs import RunDirectory
from difflab.runs.metrics_file import lines, row_of, rows, rows_from_end
from difflab.studies.planning.plan import Facts

Column = Float64[np.ndarray, " lines"]

IMAGES, SPEED = "train/images", "train/images_per_second"

LINES = 20_000
"""Of a log, from which on a part of it stands for all: a picture has fewer points."""

_STEP = re.compile(rb'\{"step": (\d{1,15}),')


@dataclass(frozen=True)
class History:
    """The lines of a metrics.jsonl as columns.

    Attributes:
        run: Directory of the run.
        steps: [L] ascending.
        columns: Name -> [L], NaN at the steps at which it was not logged: train/loss, train/loss_q1, eval/<track>/<metric>@<N> ...
    """

    run: Path
    steps: Column
    columns: Mapping[str, Column]

    def curve(self, name: str) -> tuple[Column, Column]:
        """steps [K] and values [K] at which a column was logged and finite; empty where it never was."""
        values = self.columns.get(name, np.full(len(self.steps), np.nan))
        there = np.isfinite(values)
        return self.steps[there], values[there]

    def last(self, name: str) -> float | None:
        """The last finite value of a column; None where there is none."""
        values = self.curve(name)[1]
        return float(values[-1]) if len(values) else None

    @cached_property
    def images(self) -> Column:
        """[L] images seen: steps times the images of a step, which are the same in all steps. NaN if no line says them."""
        steps, images = self.curve(IMAGES)
        return self.steps * (images[-1] / steps[-1]) if len(steps) and steps[-1] else np.full(len(self.steps), np.nan)

    @cached_property
    def seconds(self) -> Column:
        """Seconds of training, [L]; NaN without a speed.

        The sum over lines of the images since the line before, by their images per second, linear between lines. Evaluations, saving and
        waiting for a start are in none of it, as they are in no line's speed.

        Runs without a column train/data_wait_share were logged by a difflab whose speed left out the waiting for data as well.
        """
        images, speed = (self.columns.get(name, np.full(len(self.steps), np.nan)) for name in (IMAGES, SPEED))
        timed = np.isfinite(images) & np.isfinite(speed) & (speed > 0)
        if not timed.any():
            return np.full(len(self.steps), np.nan)
        spent = np.cumsum(np.diff(images[timed], prepend=0.0) / speed[timed])
        return np.interp(self.steps, np.concatenate([[0.0], self.steps[timed]]), np.concatenate([[0.0], spent]))


def read_history(run: str | Path) -> History:
    """Of a run's directory; what is no line of metrics is left out, and a run that has not logged yet has no lines.

    Of a log of more than `LINES` lines those remain that have an evaluation or are at a multiple of some number of steps, the same one in
    runs of about the same length: so curves of seeds still have their steps in common.
    """
    path = RunDirectory(run).metrics
    merged: dict[float, dict[str, float]] = {}
    for row in _thinned(path) if path.exists() else ():
        merged.setdefault(row["step"], {}).update(row)
    steps = sorted(merged)
    names = dict.fromkeys(name for step in steps for name in merged[step] if name != "step")
    missing = float("nan")
    columns = {name: np.array([merged[step].get(name, missing) for step in steps], np.float64) for name in names}
    return History(Path(run), np.array(steps, np.float64), columns)


def _thinned(path: Path) -> Iterator[dict[str, float]]:
    count = _count(path)
    if count <= LINES:
        yield from rows(path)
        return
    first, last = (next(found, {"step": 1})["step"] for found in (rows(path), rows_from_end(path)))
    apart = max(1, first) * 2 ** math.ceil(math.log2(count / LINES))
    for _, _, line in lines(path):
        found = _STEP.match(line)  # most lines of a long log need not be parsed
        step = int(found[1]) if found else last
        if (step % apart == 0 or step >= last or b'"eval/' in line) and (row := row_of(line)) is not None:
            yield row


def _count(path: Path) -> int:
    """Lines of a file."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))


class Axis(ABC):
    """What a curve is drawn against.

    Attributes:
        label: Of the axis.
    """

    label: str

    @abstractmethod
    def of(self, history: History, facts: Facts) -> Column:
        """[L] of each line of the history."""


class Steps(Axis):
    """The optimizer step of each line."""

    label = "optimizer steps"

    def of(self, history: History, facts: Facts) -> Column:
        return history.steps


class Images(Axis):
    """The images that were trained on by then."""

    label = "images seen"

    def of(self, history: History, facts: Facts) -> Column:
        return history.images


class Flops(Axis):
    """steps * images of a step * FLOPs of an image, forward and backward; sampling and evaluation are not in it."""

    label = "FLOPs of training"

    def of(self, history: History, facts: Facts) -> Column:
        return history.steps * facts.batch * facts.training_flops


class Hours(Axis):
    """Of the clock; see History.seconds."""

    label = "hours of training, evaluations left out"

    def of(self, history: History, facts: Facts) -> Column:
        return history.seconds / 3600


AXES: tuple[Axis, ...] = (Steps(), Images(), Flops(), Hours())
