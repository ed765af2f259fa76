"""What a run logged while it trained, against steps, images, computation or time."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from difflab.runs import RunDirectory
from difflab.studies.facts import Facts

Column = Float64[np.ndarray, " lines"]

IMAGES, SPEED = "train/images", "train/images_per_second"


@dataclass(frozen=True)
class History:
    """The lines of a metrics.jsonl as columns.

    run      directory of the run
    steps    [L] ascending
    columns  name -> [L], NaN at the steps at which it was not logged: train/loss, train/loss_q1, eval/<track>/<metric>@<N> ...
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
        """[L] seconds of training: the sum over lines of the images since the line before, by their images per second, linear between
        lines. Evaluations, saving and waiting for a start are in none of it, as they are in no line's speed. NaN without a speed.

        Runs without a column train/data_wait_share were logged by a difflab whose speed left out the waiting for data as well."""
        images, speed = (self.columns.get(name, np.full(len(self.steps), np.nan)) for name in (IMAGES, SPEED))
        timed = np.isfinite(images) & np.isfinite(speed) & (speed > 0)
        if not timed.any():
            return np.full(len(self.steps), np.nan)
        spent = np.cumsum(np.diff(images[timed], prepend=0.0) / speed[timed])
        return np.interp(self.steps, np.concatenate([[0.0], self.steps[timed]]), np.concatenate([[0.0], spent]))


def read_history(run: str | Path) -> History:
    """Of a run's directory; a torn line is left out, and a run that has not logged yet has no lines."""
    path = RunDirectory(run).metrics
    merged: dict[float, dict[str, Any]] = {}
    for row in _rows(path.read_text(encoding="utf-8") if path.exists() else ""):
        merged.setdefault(row["step"], {}).update(row)
    steps = sorted(merged)
    names = dict.fromkeys(name for step in steps for name in merged[step] if name != "step")
    missing = float("nan")
    columns = {name: np.array([merged[step].get(name, missing) for step in steps], np.float64) for name in names}
    return History(Path(run), np.array(steps, np.float64), columns)


def _rows(text: str) -> list[dict[str, Any]]:
    whole, _, rest = text.rpartition("\n")  # a torn last line has no end
    try:  # all at once is faster by half
        rows = json.loads(f"[{whole.replace(chr(10), ',')}]")
    except json.JSONDecodeError:
        rows = [row for line in whole.splitlines() if (row := _row(line))]
    last = _row(rest)
    return [*rows, last] if last else rows


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and "step" in row else None


class Axis(ABC):
    """What a curve is drawn against.

    label   of the axis
    """

    label: str

    @abstractmethod
    def of(self, history: History, facts: Facts) -> Column:
        """[L] of each line of the history."""


class Steps(Axis):
    label = "optimizer steps"

    def of(self, history: History, facts: Facts) -> Column:
        return history.steps


class Images(Axis):
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
