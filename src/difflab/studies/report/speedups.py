"""How much less of each budget a row needs for what its reference has at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from difflab.metrics import MetricInfo
from difflab.studies.history import Axis, Flops, History, Hours, Images, Steps
from difflab.studies.inference.curves import Curve
from difflab.studies.inference.speedup import Speedup, speedup
from difflab.studies.report.trained import Trained

BUDGETS: dict[str, Axis] = {"steps": Steps(), "images": Images(), "FLOPs": Flops(), "hours": Hours()}


@dataclass(frozen=True)
class RowSpeedup:
    """column   of the log that was followed
    by        budget -> what was found
    """

    row: Trained
    against: Trained
    column: str
    by: Mapping[str, Speedup]


def speedups(
    rows: Sequence[Trained],
    histories: Mapping[str, Mapping[int, History]],
    decides: str,
    info: MetricInfo,
    alpha: float,
) -> list[RowSpeedup]:
    """Of the rows that are trained otherwise than their reference and logged the deciding metric while they trained.

    histories   first row of a training -> seed -> what it logged
    """
    of, found = {name: one for one in rows for name in one.rows}, []
    for row in rows:
        against = of[row.arm.row.against]
        mine, theirs = histories[row.rows[0]], histories[against.rows[0]]
        column, other = _column(mine, decides, row.track), _column(theirs, decides, against.track)
        if against is row or not column or not other or column.rpartition("/")[2] != other.rpartition("/")[2]:
            continue
        by = {
            name: speedup(_curves(mine, row, column, axis), _curves(theirs, against, other, axis), info, alpha)
            for name, axis in BUDGETS.items()
        }
        if any(one.seeds for one in by.values()):
            found.append(RowSpeedup(row, against, column, by))
    return found


def _column(histories: Mapping[int, History], decides: str, track: str | None) -> str:
    """eval/<track>/<metric>@<N> of the deciding metric, of the weights that are judged; "" if these were not looked at in training."""
    names = sorted({name for one in histories.values() for name in one.columns})
    return next((name for name in names if name.startswith(f"eval/{track}/{decides}@")), "")


def _curves(histories: Mapping[int, History], row: Trained, column: str, axis: Axis) -> dict[int, Curve]:
    found = {}
    for seed, history in histories.items():
        steps, values = history.curve(column)
        at = axis.of(history, row.arm.facts)[np.isin(history.steps, steps)]
        if len(steps) and (at[1:] > at[:-1]).all():  # an axis that the log does not give is NaN
            diverged = seed in row.arm.diverged  # whatever it had reached, it did not keep
            found[seed] = Curve(at.tolist(), [*values[:-1].tolist(), math.nan if diverged else float(values[-1])])
    return found
