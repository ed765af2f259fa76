"""The summary of a W&B run: of each number the last value, and of each score also the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import rows

STEP = "trainer/global_step"
"""The optimizer step as a column: what charts are drawn over."""


def best_of(protocols: Mapping[str, Any]) -> dict[str, str]:
    """Score -> min or max, for the scores that declare which way is better.

    Args:
        protocols: Score -> the fields of its protocol, as protocol.json holds them.
    """
    declared = {name: (fields.get("info") or {}).get("higher_is_better") for name, fields in protocols.items()}
    return {name: "max" if higher else "min" for name, higher in declared.items() if higher is not None}


def define_metrics(experiment: Any, protocols: Mapping[str, Any]) -> None:
    """Has charts drawn over optimizer steps, and the best of each score kept beside the last: `<score>.min`, `<score>.last`.

    Args:
        experiment: The W&B run.
        protocols: As for `best_of`.
    """
    experiment.define_metric(STEP)
    experiment.define_metric("*", step_metric=STEP, step_sync=True)
    for name, best in best_of(protocols).items():
        experiment.define_metric(name, step_metric=STEP, step_sync=True, summary=f"{best},last")


def summary_of(run: RunDirectory, protocols: Mapping[str, Any]) -> dict[str, Any]:
    """What the summary is to hold of all lines of metrics.jsonl, also of those that an earlier start has sent.

    Args:
        run: Its directory.
        protocols: As for `best_of`.
    """
    best, found = best_of(protocols), dict[str, Any]()
    for row in rows(run.metrics) if run.metrics.exists() else ():
        for name, value in row.items():
            if name not in best:
                found[STEP if name == "step" else name] = value
            elif not math.isnan(value):
                choose = max if best[name] == "max" else min
                earlier = found.get(name, {}).get(best[name], value)
                found[name] = {best[name]: choose(earlier, value), "last": value}
    return found
