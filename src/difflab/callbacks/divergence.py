"""The watcher that notices when training has gone astray."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor


class Diverged(RuntimeError):
    """The loss or the gradient is not finite any more."""


class WentBack(Diverged):
    """Training is to go on from an older checkpoint.

    checkpoints   how many newer ones are given up
    """

    def __init__(self, message: str, checkpoints: int):
        super().__init__(message)
        self.checkpoints = checkpoints


class Policy(ABC):
    """What to do about a step whose gradient is not finite."""

    @abstractmethod
    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        """Lets the step be taken (having changed the gradient) or raises. `report` holds what is known."""

    @abstractmethod
    def recovered(self) -> None:
        """Told of every step that was fine."""


class Stop(Policy):
    """Training ends."""

    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        raise Diverged(f"loss or gradient of step {step} is not finite; batch, times and seed are in {report}")

    def recovered(self) -> None:
        return


class SkipStep(Policy):
    """The step changes no weight and no moment of the optimizer.

    most   so many steps in a row may be skipped
    """

    def __init__(self, most: int = 10):
        self.most = most
        self._in_a_row = 0

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


class GoBack(Policy):
    """Training goes on from an older checkpoint, with other noise and times than those that led astray.

    checkpoints   how many are given up
    """

    def __init__(self, checkpoints: int = 1):
        if checkpoints < 1:
            raise ValueError(f"divergence.checkpoints={checkpoints}: at least one checkpoint has to be given up")
        self.checkpoints = checkpoints

    def act(self, module: torch.nn.Module, step: int, report: Path) -> None:
        raise WentBack(
            f"loss or gradient of step {step} is not finite (see {report}): going back {self.checkpoints} checkpoint(s)",
            self.checkpoints,
        )

    def recovered(self) -> None:
        return


class DivergenceCallback(pl.Callback):
    """Watches the norm of the gradient before every optimizer step; logs it, the number of bad steps and the loss scale.

    With a gradient scaler (16-mixed) an infinite gradient is part of finding the scale and only counted, unless the loss is not finite.

    policy      what to do
    directory   where reports go
    log_every   optimizer steps between lines of the log
    """

    def __init__(self, policy: Policy, directory: str | Path, log_every: int):
        self.policy = policy
        self.directory = Path(directory)
        self.log_every = log_every
        self.bad_steps = 0

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        norm = pl_module.layout.gradient_norm(pl_module.model)
        if (trainer.global_step + 1) % self.log_every == 0:
            self._log(trainer, norm)
        losses_are_finite = torch.isfinite(pl_module.last_losses.total).all()
        if bool(torch.isfinite(norm) & losses_are_finite):  # one look at the device
            self.policy.recovered()
            return
        self.bad_steps += 1
        if trainer.scaler is not None and bool(losses_are_finite):
            return
        report = self.directory / f"step-{trainer.global_step + 1:08d}-process-{trainer.global_rank}.pt"
        self._report(report, trainer, pl_module, norm)
        self.policy.act(pl_module, trainer.global_step + 1, report)

    def state_dict(self) -> dict[str, Any]:
        return {"bad_steps": self.bad_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.bad_steps = state_dict["bad_steps"]

    def _log(self, trainer: pl.Trainer, norm: Tensor) -> None:
        metrics = {"train/gradient_norm": float(norm), "train/bad_steps": float(self.bad_steps)}
        if trainer.scaler is not None:
            metrics["train/loss_scale"] = float(trainer.scaler.get_scale())
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step + 1)

    def _report(self, path: Path, trainer: pl.Trainer, pl_module: Any, norm: Tensor) -> None:
        """Everything that is needed to repeat the step: the micro-batch, its times, the seed and where the weights are."""
        path.parent.mkdir(parents=True, exist_ok=True)
        batch, losses = pl_module.last_batch, pl_module.last_losses
        known = {
            "step": trainer.global_step + 1,
            "seed": pl_module.seed,
            "gradient_norm": float(norm),
            "number": batch.number.cpu(),
            "x0": batch.x0.cpu(),
            "label": None if batch.cond.label is None else batch.cond.label.cpu(),
            "t": losses.t.cpu(),
            "loss": losses.total.detach().cpu(),
        }
        torch.save(known, path)
        summary = {
            "step": known["step"],
            "gradient_norm": str(known["gradient_norm"]),
            "seed": pl_module.seed,
            "batch": path.name,
        }
        path.with_suffix(".json").write_text(json.dumps(summary, indent=2))
