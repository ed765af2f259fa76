"""The callback that notices when training has diverged."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from difflab.files import WriteError, atomic_file, write_json
from difflab.types import Batch, Losses


class HostCopy:
    """A copy in the host's memory of a small tensor, which is there when the device has come to where it was asked.

    Asking makes nobody wait: the copy queues behind the kernels that compute the tensor, and an event behind the copy. What is in the
    host's memory anyway is there at once.
    """

    def __init__(self, there: Tensor):
        self._arrived: torch.cuda.Event | None = None
        if there.device.type != "cuda":
            self._here = there
            return
        self._here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
        self._here.copy_(there, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(there.device))

    @property
    def may_wait(self) -> bool:
        """Whether `value` waits for a device, be it for no time: all processes of a training are told the same."""
        return self._arrived is not None

    def value(self) -> Tensor:
        """Waits for it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._here


class Diverged(RuntimeError):
    """The loss or the gradient is not finite any more."""


class RolledBack(Diverged):
    """Training is to go on from an older checkpoint.

    Args:
        message: What has diverged.
        checkpoints: How many newer ones are given up.
    """

    def __init__(self, message: str, checkpoints: int):
        super().__init__(message)
        self.checkpoints = checkpoints


class Policy(ABC):
    """What to do about a step whose gradient is not finite."""

    @property
    @abstractmethod
    def changes_the_step(self) -> bool:
        """Whether it has to know before the optimizer takes the step.

        A GPU is then waited for in every step, and stands still until it is told what comes next.
        """

    @abstractmethod
    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        """Lets the step be taken (having changed the gradient) or raises. `report` holds what is known."""

    @abstractmethod
    def recovered(self) -> None:
        """Told of every step that was fine."""


class Stop(Policy):
    """Training ends."""

    @property
    def changes_the_step(self) -> bool:
        return False

    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        raise Diverged(f"loss or gradient of step {step} is not finite; batch, times and seed are in {report}")

    def recovered(self) -> None:
        return


class SkipStep(Policy):
    """The step changes no weight and no moment of the optimizer. A GPU is waited for in every step.

    Args:
        most: So many steps in a row may be skipped.
    """

    def __init__(self, most: int = 10):
        self.most = most
        self._in_a_row = 0

    @property
    def changes_the_step(self) -> bool:
        return True

    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        self._in_a_row += 1
        if self._in_a_row > self.most:
            raise Diverged(
                f"{self._in_a_row} steps in a row up to step {step} had no finite gradient; the last is in {report}"
            )
        for p in module.parameters():
            p.grad = None  # optimizers pass over a parameter without a gradient

    def recovered(self) -> None:
        self._in_a_row = 0


class Rollback(Policy):
    """Training goes on from an older checkpoint, with other noise and times than those that led astray.

    Args:
        checkpoints: How many are given up.
    """

    def __init__(self, checkpoints: int = 1):
        if checkpoints < 1:
            raise ValueError(f"divergence.checkpoints={checkpoints}: at least one checkpoint has to be given up")
        self.checkpoints = checkpoints

    @property
    def changes_the_step(self) -> bool:
        return False

    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        raise RolledBack(
            f"loss or gradient of step {step} is not finite (see {report}): going back {self.checkpoints} checkpoint(s)",
            self.checkpoints,
        )

    def recovered(self) -> None:
        return


@dataclass(frozen=True)
class _Step:
    """What is known of an optimizer step until it has been looked at.

    Attributes:
        finite: [2]: whether the norm of the gradient is, and whether all losses are.
        scaled: Whether a gradient scaler looks for its scale.
    """

    number: int
    rank: int
    module: Any
    batch: Batch
    losses: Losses
    norm: Tensor
    finite: HostCopy
    scaled: bool


class DivergenceCallback(pl.Callback):
    """Watches the norm of the gradient before every optimizer step; logs it, the number of bad steps and the loss scale.

    With a gradient scaler (16-mixed) an infinite gradient is part of finding the scale and only counted, unless the loss is not finite.

    On a GPU the answer is fetched while it goes on computing, and looked at when the next step begins, or before: nothing is
    saved, evaluated or kept of weights whose step has not been looked at. For that this callback stands before those that do so.

    Args:
        policy: What to do.
        directory: Where reports go.
        log_every: Optimizer steps between lines of the log.
    """

    def __init__(self, policy: Policy, directory: str | Path, log_every: int):
        self.policy = policy
        self.directory = Path(directory)
        self.log_every = log_every
        self.bad_steps = 0
        self._unseen: _Step | None = None

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self._look()
        norm = pl_module.sharding.gradient_norm(pl_module.model)
        if (trainer.global_step + 1) % self.log_every == 0:
            self._log(trainer, norm)
        batch, losses = pl_module.last_batch, pl_module.last_losses
        losses_are_finite = torch.isfinite(losses.total).all()
        finite = HostCopy(torch.stack([torch.isfinite(norm).to(losses_are_finite.device), losses_are_finite]))
        self._unseen = _Step(
            trainer.global_step + 1,
            trainer.global_rank,
            pl_module,
            batch,
            losses,
            norm,
            finite,
            trainer.scaler is not None,
        )
        if self.policy.changes_the_step or not finite.may_wait:
            self._look()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._look()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._look()

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._look()

    def state_dict(self) -> dict[str, Any]:
        self._look()  # a checkpoint is being made, and is not made if this raises
        return {"bad_steps": self.bad_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.bad_steps = state_dict["bad_steps"]

    def _look(self) -> None:
        """Waits for what is known of the last step, and has the policy act if it was bad."""
        step, self._unseen = self._unseen, None
        if step is None:
            return
        gradient_is_finite, losses_are_finite = step.finite.value().tolist()
        if gradient_is_finite and losses_are_finite:
            self.policy.recovered()
            return
        self.bad_steps += 1
        if step.scaled and losses_are_finite:
            return
        report = self.directory / f"step-{step.number:08d}-process-{step.rank}.pt"
        try:
            self._report(report, step)
        except WriteError as error:  # what the step was like matters less than that it was bad
            warnings.warn(str(error), stacklevel=2)
        self.policy.act(step.module, step.number, report)

    def _log(self, trainer: pl.Trainer, norm: Tensor) -> None:
        metrics = {"train/gradient_norm": float(norm), "train/bad_steps": float(self.bad_steps)}
        if trainer.scaler is not None:
            metrics["train/loss_scale"] = float(trainer.scaler.get_scale())
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step + 1)

    def _report(self, path: Path, step: _Step) -> None:
        """Everything that is needed to repeat the step: the micro-batch, its times, the seed and where the weights are."""
        cond = step.batch.cond.to("cpu")
        known = {
            "step": step.number,
            "seed": step.module.seed,
            "gradient_norm": float(step.norm),
            "number": step.batch.number.cpu(),
            "x0": step.batch.x0.cpu(),
            "cond": {name: part.tensors for name, part in cond.items()},
            "t": None if step.losses.t is None else step.losses.t.cpu(),
            "loss": step.losses.total.detach().cpu(),
        }
        with atomic_file(path) as aside:
            torch.save(known, aside)
        summary = {
            "step": step.number,
            "gradient_norm": str(known["gradient_norm"]),
            "seed": step.module.seed,
            "batch": path.name,
        }
        write_json(path.with_suffix(".json"), summary)
