"""What a run has to show: the number which a search (hydra/sweeper=optuna) makes small, and where its results are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difflab.cli.evaluation import Evaluation
    from difflab.data import ImageData
    from difflab.runs import RunDirectory


def score(evaluation: Evaluation, run: RunDirectory) -> float | None:
    """The number of the last evaluation by which best.ckpt is chosen, too."""
    return run.last_scores().get(evaluation.monitor)


def told_scores(evaluation: Evaluation, data: ImageData, run: RunDirectory) -> str:
    """The last evaluation's table, of a run that has not just printed it."""
    from difflab.callbacks.scores import scores_table

    scores = run.last_scores()
    return f"scores of {evaluation.measured(data)}\n{scores_table(scores, evaluation.info(data))}" if scores else ""


def report(run: RunDirectory) -> None:
    """Where things are, and what may be done next; the path of the run is the last line."""
    if grid := run.last_grid():
        print(f"samples  {grid}")
    print(f"weights  {run.weights}")
    print(f"metrics  {run.metrics}")
    print(run.path)
