"""The sockets of a module for objective and averaged weights, each an adapter of an object that does not know Lightning.

That for guidance is `difflab.training.callbacks.guidance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from difflab.conditioning import ConditionDropout, Conditioning
from difflab.distributed.group import gathered, rank, sum_over_processes
from difflab.ema import Averaging, Tracks
from difflab.former_names import Neutral
from difflab.noise import Noise
from difflab.noisy_model import NoisyModel
from difflab.objectives import Objective
from difflab.types import Condition, Losses

M = TypeVar("M", bound=NoisyModel)


class ObjectiveCallback(pl.Callback, Generic[M]):
    """Holds the objective and what the model is conditioned on.

    It tells a loss-aware time sampler of the losses after every optimizer step, and logs them. train/<term> is the mean over the examples
    since the last line, train/<term>_q1 .. _q4 that over the quarters of time (q1 is the cleanest). They are not importance weighted.

    Args:
        objective: What is minimised.
        log_every: Optimizer steps between lines of the log.
        condition_dropout: Probability with which an example's condition is dropped, or each part of it by itself, for classifier-free
            guidance; see `difflab.conditioning.ConditionDropout`.
        conditionings: Name -> what adds to the condition of a training image; empty for the class alone.

    Attributes:
        mean_loss: Of the last line of the log, or of the first step of this start, over all processes.
    """

    QUARTERS = 4

    def __init__(
        self,
        objective: Objective[M],
        log_every: int,
        condition_dropout: float | Mapping[str, float] = 0.0,
        conditionings: Neutral[Mapping[str, Conditioning]] = MappingProxyType({}),
    ):
        if log_every < 1:
            raise ValueError(f"trainer.log_every_n_steps={log_every} must be at least 1")
        self.objective = objective
        self.log_every = log_every
        self.dropout = ConditionDropout(condition_dropout)
        self.conditionings = dict(conditionings)
        # (number, t, loss) of the micro-batches since the last optimizer step, for a loss-aware time sampler
        self._step: list[tuple[Tensor, Tensor, Tensor]] = []
        self._sums: dict[str, Tensor] = {}  # name -> [2, quarters]: sums and counts since the last line of the log
        self._seen_step = self._first_step = 0
        self.mean_loss = math.nan

    def check_division(self, micro_batches: int, processes: int) -> None:
        """Raises a ValueError if the batch of a step is divided, and the objective has to see it as a whole."""
        if self.objective.couples_images and micro_batches * processes > 1:
            raise ValueError(
                f"{type(self.objective).__name__} couples the images of a batch, and would see {micro_batches * processes} parts of it "
                f"({micro_batches} micro-batches on {processes} processes), which is another objective: leave data.micro_batch and "
                "trainer.accumulate_grad_batches out and train on one process, with a data.batch_size that fits"
            )

    def condition(self, x_0: Tensor, cond: Condition, noise: Noise) -> Condition:
        """The condition of a batch as the model is trained on it: with what the conditionings add, dropped for some of the examples.

        Args:
            x_0: Images [B, C, H, W].
            cond: As the data have it.
            noise: Which examples are dropped is drawn from.
        """
        for conditioning in self.conditionings.values():
            cond = conditioning(cond, x_0, noise)
        return self.dropout(cond, noise)

    def record(self, losses: Losses, noise: Noise) -> None:
        """Notes the losses of a batch for the log and for a loss-aware time sampler, to which they are handed at the optimizer step.

        Args:
            losses: As the objective returns them.
            noise: By whose numbers the images are ordered.
        """
        if self.objective.time_sampler.is_loss_aware:
            self._step.append((noise.number, losses.t, losses.terms["loss"].detach().double()))
        self._collect(losses)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.check_division(trainer.accumulate_grad_batches, trainer.world_size)
        self._seen_step = self._first_step = trainer.global_step
        self._step.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen_step:  # within an accumulation
            return
        self._seen_step = trainer.global_step
        if self.objective.time_sampler.is_loss_aware:
            number, t, loss = (gathered(torch.cat(column)) for column in zip(*self._step, strict=True))
            order = torch.argsort(number)  # the history is then the same however the batch was split
            self.objective.time_sampler.update(t[order], loss[order])
            self._step.clear()
        if trainer.global_step % self.log_every == 0:
            means = self._means()
            self.mean_loss = means["train/loss"]
            for logger in trainer.loggers:
                logger.log_metrics(means, step=trainer.global_step)
        elif trainer.global_step == self._first_step + 1:  # for a person; the log's line goes on
            totals, counts = sum_over_processes([self._sums["loss"]])[0].tolist()
            self.mean_loss = sum(totals) / sum(counts)

    def state_dict(self) -> dict[str, Any]:
        """The time sampler's history, and the sums of the line of the log that has begun.

        They are over all processes: every process takes part when a checkpoint is made.
        """
        sums = {name: sum_over_processes([values])[0] for name, values in self._sums.items()}
        return {"time_sampler": self.objective.time_sampler.state_dict(), "sums": sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.objective.time_sampler.load_state_dict(state_dict["time_sampler"])
        # they are sums over all processes already: one takes them up, the others begin with zeros (all sum the same names)
        self._sums = {name: values * (rank() == 0) for name, values in state_dict["sums"].items()}

    @torch.no_grad()
    def _collect(self, losses: Losses) -> None:
        quarter = time_quarter(losses.t, self.QUARTERS)
        for name, values in losses.terms.items():
            sums = self._sums.get(name)
            if sums is None:
                sums = torch.zeros(2, self.QUARTERS, dtype=torch.float64)
            self._sums[name] = sums = sums.to(values.device)
            sums[0].index_add_(0, quarter, values.double())
            sums[1].index_add_(0, quarter, torch.ones_like(values, dtype=torch.float64))

    def _means(self) -> dict[str, float]:
        """Mean of each term, and in each quarter of time that was drawn, over all processes since the last line; starts anew."""
        means = {}
        for name, sums in self._sums.items():
            totals, counts = sum_over_processes([sums])[0].tolist()
            means[f"train/{name}"] = sum(totals) / sum(counts)
            for quarter, (total, count) in enumerate(zip(totals, counts, strict=True), start=1):
                if count:
                    means[f"train/{name}_q{quarter}"] = total / count
        self._sums.clear()
        return means


def time_quarter(t: Tensor, quarters: int) -> Tensor:
    """The part of time, 0 (the cleanest) .. quarters - 1, in which each t lies; its upper end belongs to it."""
    return (t * quarters).ceil().clamp(1, quarters).long() - 1


class EMACallback(pl.Callback):
    """Keeps any number of averages of the weights, updated after each optimizer step (not each micro-batch).

    Args:
        averagings: name -> averaging; empty for none.
    """

    def __init__(self, averagings: Mapping[str, Averaging]):
        self.tracks = Tracks(averagings)
        self._seen_step = 0

    def applied_to(self, model: NoisyModel, track: str) -> AbstractContextManager[None]:
        """The model with the weights of a track, within the context."""
        return self.tracks.applied_to(model, track)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._seen_step = trainer.global_step
        self.tracks.start(pl_module.model)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step > self._seen_step:
            self._seen_step = trainer.global_step
            self.tracks.update(pl_module.model)

    def state_dict(self) -> dict[str, Any]:
        return self.tracks.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.tracks.load_state_dict(state_dict)
