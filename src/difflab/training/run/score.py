"""What a run has to show: the number which a search (hydra/sweeper=optuna) makes small, and where its results are."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from difflab.runtime.invocation import command

if TYPE_CHECKING:
    from difflab.data import ImageData
    from difflab.evaluation.in_training import Evaluation
    from difflab.runs import RunDirectory


def score(evaluation: Evaluation, run: RunDirectory) -> float | None:
    """The number of the last evaluation by which best.ckpt is chosen, too."""
    return run.last_scores().get(evaluation.monitor)


def told_scores(evaluation: Evaluation, data: ImageData, run: RunDirectory) -> str:
    """The last evaluation's table, of a run that has not just printed it."""
    from difflab.evaluation.callback import scores_table

    scores = run.last_scores()
    return f"scores of {evaluation.measured(data)}\n{scores_table(scores, evaluation.info(data))}" if scores else ""


def another_seed() -> str:
    """The command of this process with the next seed; nothing where it does not say one training."""
    from difflab.config.groups import command_words

    words = command_words()
    seeds = [word.partition("=")[2] for word in words if word.startswith("seed=")]
    if not words or not all(seed.isdigit() for seed in seeds):
        return ""
    others = [word for word in words if not word.startswith("seed=")]
    return command(shlex.join(["train", *others, f"seed={int(seeds[-1] if seeds else 0) + 1}"]))


def report(run: RunDirectory) -> None:
    """Where things are, and what may be done next; the path of the run is the last line."""
    from difflab.runs.wandb.description import wandb_place

    if grid := run.last_grid():
        print(f"samples  {grid}")
    print(f"weights  {run.weights}")
    print(f"metrics  {run.metrics}")
    for line in place.lines() if (place := wandb_place(run.path)) else ():
        print(line)
    checkpoint = shlex.quote(f"checkpoint={run.path}")
    for label, words in (("next", f"sample {checkpoint}"), ("", f"evaluate {checkpoint}")):
        print(f"{label:8} {command(words)}")
    if again := another_seed():
        print(f"{'':8} {again}")
    print(run.path)
