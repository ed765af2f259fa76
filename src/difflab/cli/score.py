"""What a run has to show: the number which a search (hydra/sweeper=optuna) makes small, and where its results are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difflab.cli.evaluation import Evaluation
    from difflab.runs import RunDirectory


def score(evaluation: Evaluation, run: RunDirectory) -> float | None:
    """The number of the last evaluation by which best.ckpt is chosen, too."""
    return run.last_scores().get(evaluation.monitor)


def report(run: RunDirectory) -> None:
    """Where things are; the path of the run is the last line."""
    for name, value in run.last_scores().items():
        print(f"{name:40} {value:.4g}")
    if grid := run.last_grid():
        print(f"samples  {grid}")
    print(f"weights  {run.weights}")
    print(f"metrics  {run.metrics}")
    print(run.path)
