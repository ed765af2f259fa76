"""The one number of a run, which a search (hydra/sweeper=optuna) makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difflab.cli.evaluation import Evaluation
    from difflab.runs import RunDirectory


def score(evaluation: Evaluation, run: RunDirectory) -> float | None:
    """The number of the last evaluation by which best.ckpt is chosen, too."""
    return run.last_scores().get(evaluation.monitor)
