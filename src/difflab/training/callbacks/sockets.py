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
from torch import Tensor, nn

from difflab.buffers import recompute
from difflab.conditioning import ConditionDropout, Conditioning, conditioned
from difflab.distributed.group import from_first_process, gathered, rank, sum_over_processes, world_size
from difflab.ema import Averaging, Tracks
from difflab.former_names import Neutral
from difflab.noise import ImageNoise, Noise
from difflab.objectives import Objective, loss_aware_parts
from difflab.objectives.time_samplers import LossAware
from difflab.types import Batch, Condition, Losses

M = TypeVar("M", bound=nn.Module)

TIME_SAMPLER = "time_sampler"
"""Name of the state of an objective's time sampler in checkpoints."""


class ObjectiveCallback(pl.Callback, Generic[M]):
    """Holds the objective and what the model is conditioned on.

    It tells loss-aware parts of the objective of the losses after every optimizer step, and logs them. train/<term> is the mean over the
    examples since the last line, train/<term>_q1 .. _q4 that over the quarters of time (q1 is the cleanest) where there is one. They are
    not importance weighted.

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
        self.loss_aware = loss_aware_parts(objective)
        # (number, t, loss) of the micro-batches since the last optimizer step, for what is loss-aware
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
        return self.dropout(conditioned(cond, x_0, noise, self.conditionings.values()), noise)

    def told(self, batch: Batch) -> Condition:
        """What a model is told of a batch, of which nothing is dropped.

        Raises:
            ValueError: Something is to be dropped that is not there.
        """
        cond = conditioned(batch.cond, batch.x0, ImageNoise(0, batch.number), self.conditionings.values())
        self.dropout.check(cond)
        return cond

    def record(self, losses: Losses, noise: Noise) -> None:
        """Notes the losses of a batch for the log and for what is loss-aware, to which they are handed at the optimizer step.

        Args:
            losses: As the objective returns them.
            noise: By whose numbers the images are ordered.
        """
        if self._told:
            loss = losses.terms["loss"].detach().double()
            self._step.append((noise.number, torch.zeros_like(loss) if losses.t is None else losses.t, loss))
        self._collect(losses)

    @property
    def _told(self) -> list[LossAware]:
        return [part for part in self.loss_aware.values() if part.is_loss_aware]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for model in self.objective.models.values():
            model.to(trainer.strategy.root_device)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen_step = self._first_step = trainer.global_step
        self._step.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen_step:  # within an accumulation
            return
        self._seen_step = trainer.global_step
        if self._told:
            number, t, loss = (gathered(torch.cat(column)) for column in zip(*self._step, strict=True))
            order = torch.argsort(number)  # the history is then the same however the batch was split
            for part in self._told:
                part.update(t[order], loss[order])
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
        """What the loss-aware parts have learned, and the sums of the line of the log that has begun.

        They are over all processes: every process takes part when a checkpoint is made.
        """
        sums = {name: sum_over_processes([values])[0] for name, values in self._sums.items()}
        parts = {path: part.state_dict() for path, part in self.loss_aware.items()}
        return {"time_sampler": parts.pop(TIME_SAMPLER, {}), "sums": sums, **({"parts": parts} if parts else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        saved = {TIME_SAMPLER: state_dict["time_sampler"], **state_dict.get("parts", {})}
        if absent := sorted(self.loss_aware.keys() - saved.keys()):
            raise ValueError(
                f"the checkpoint has no state of the objective's part {absent[0]!r}: it is of another objective"
            )
        for path, part in self.loss_aware.items():
            part.load_state_dict(saved[path])
        # they are sums over all processes already: one takes them up, the others begin with zeros (all sum the same names)
        self._sums = {name: values * (rank() == 0) for name, values in state_dict["sums"].items()}

    @torch.no_grad()
    def _collect(self, losses: Losses) -> None:
        quarter = None if losses.t is None else time_quarter(losses.t, self.QUARTERS)
        for name, values in losses.terms.items():
            sums = self._sums.get(name)
            if sums is None:
                sums = torch.zeros(2, 1 if quarter is None else self.QUARTERS, dtype=torch.float64)
            self._sums[name] = sums = sums.to(values.device)
            if quarter is None:
                sums += torch.stack([values.double().sum(), values.new_tensor(len(values)).double()])[:, None]
                continue
            sums[0].index_add_(0, quarter, values.double())
            sums[1].index_add_(0, quarter, torch.ones_like(values, dtype=torch.float64))

    def _means(self) -> dict[str, float]:
        """Mean of each term, and in each quarter of time that was drawn, over all processes since the last line; starts anew."""
        means = {}
        for name, sums in self._sums.items():
            totals, counts = sum_over_processes([sums])[0].tolist()
            means[f"train/{name}"] = sum(totals) / sum(counts)
            for quarter, (total, count) in enumerate(zip(totals, counts, strict=True), start=1):
                if count and len(counts) > 1:
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

    def applied_to(self, model: nn.Module, track: str) -> AbstractContextManager[None]:
        """The model with the weights of a track, within the context."""
        return self.tracks.applied_to(model, track)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._seen_step = trainer.global_step
        self.tracks.start(pl_module.model)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step > self._seen_step:
            self._seen_step = trainer.global_step
            make_buffers_equal(pl_module.model, self.tracks)
            self.tracks.update(pl_module.model)

    def state_dict(self) -> dict[str, Any]:
        return self.tracks.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.tracks.load_state_dict(state_dict)


@torch.no_grad()
def make_buffers_equal(model: nn.Module, tracks: Tracks) -> None:
    """Makes buffers that changed in the step the same on all processes: the mean over them, the first one's where there is no mean.

    So it is under every strategy, whether or not it would do something of its own.

    Args:
        model: That has them.
        tracks: Which know them.
    """
    if world_size() == 1:
        return
    for names, together in ((tracks.averaged, _mean), (tracks.copied, from_first_process)):
        for buffer in map(model.get_buffer, names):
            (value,) = together([buffer])
            buffer.copy_(value)
    if tracks.averaged or tracks.copied:
        recompute(model)


def _mean(tensors: list[Tensor]) -> list[Tensor]:
    return [(total / world_size()).to(total.dtype) for total in sum_over_processes(tensors)]
