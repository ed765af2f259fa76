"""Histograms of gradients and weights for W&B, and the summary of a run."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
import wandb
from torch import Tensor

from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import rows

_log = logging.getLogger(__name__)

Watch = Literal["gradients", "parameters", "all"]
"""What is watched, in the words of `wandb.watch`."""

BINS = 64
"""Bars of a histogram; W&B's own number."""


class WatchCallback(pl.Callback):
    """Makes a histogram of each parameter's gradient, its weights, or both, just before the optimizer takes its step.

    It looks on: no number of the run changes. `wandb.watch` itself counts steps of its own, which neither accumulation nor a resumed run
    keeps in line with the optimizer's; here a step is the optimizer's, and those that are watched belong to lines of metrics.jsonl. The
    histograms are kept until the mirror sends the line of their step. Gradients are those of all processes, before clipping.

    Args:
        what: gradients, parameters or all.
        every: Optimizer steps between histograms; rounded up to a multiple of trainer.log_every_n_steps.
    """

    def __init__(self, what: Watch, every: int):
        if every < 1:
            raise ValueError(f"logger.wandb.log_freq={every}: every how many optimizer steps? At least 1")
        self.what = what
        self._every: int | None = every
        self._made: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if not pl_module.sharding.gradients_are_whole:
            self._every = None
            _log.warning(
                "logger.wandb.watch=%s is left out: with this strategy gradients lie in parts over the processes. One process and "
                "strategy=ddp can be watched; train/gradient_norm is logged with every strategy",
                self.what,
            )

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        step, logged = trainer.global_step + 1, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self._every is None or step % (-(-self._every // logged) * logged):
            return
        made = {name: histogram(values) for name, values in self._watched(pl_module.model)}
        with self._lock:
            self._made[step] = {name: found for name, found in made.items() if found is not None}

    def taken(self, step: int) -> dict[str, Any]:
        """The histograms of a step, once; those of earlier steps are forgotten."""
        with self._lock:
            found = self._made.pop(step, {})
            for earlier in [one for one in self._made if one < step]:
                del self._made[earlier]
        return found

    def _watched(self, model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in model.named_parameters():
            if self.what != "parameters" and parameter.grad is not None:
                yield f"gradients/{name}", parameter.grad
            if self.what != "gradients":
                yield f"parameters/{name}", parameter


def histogram(values: Tensor) -> Any:
    """A W&B histogram of a tensor's finite values; None where there is none."""
    flat = values.detach().float().flatten()
    flat = flat[flat.isfinite()]
    if not len(flat):
        return None
    low, high = (float(bound) for bound in flat.aminmax())
    if low == high:  # zeros, before the first step
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(flat, BINS, low, high).cpu().numpy()
    return wandb.Histogram(np_histogram=(counts.astype(np.int64), np.linspace(low, high, BINS + 1)))


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
