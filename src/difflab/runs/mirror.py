"""The mirror of a run in Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import read_metrics
from difflab.runs.saved_checkpoints import saved, step_of
from difflab.runs.wandb_file import last_mirrored_step
from difflab.runs.wandb_login import logged_in

TAG_LENGTH = 64
"""W&B takes no longer ones."""


class Mirror(Logger):
    """Sends the run directory's metrics and pictures to W&B, up to the newest checkpoint.

    What lies behind a checkpoint can no longer be dropped and written again by a restart. So the W&B run has every step once: none
    is missing after a crash and none is doubled, online as offline. The price is that W&B lags by up to `checkpoint.every` steps.

    run      the directory that is mirrored
    logger   of the W&B run
    labels   what the run is in its study, for the W&B configuration and as tags; empty outside of one
    """

    def __init__(self, run: RunDirectory, logger: WandbLogger, labels: Mapping[str, str]):
        super().__init__()
        self.run = run
        self.logger = logger
        self.labels = labels
        self._sent: int | None = None

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> str | int | None:
        return self.logger.version

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        experiment = self.logger.experiment
        experiment.config.update(params | self.labels, allow_val_change=True)
        if self.labels:
            tags = [*self.labels.values(), f"seed {params['seed']}"]
            experiment.tags = tuple(dict.fromkeys([*(experiment.tags or ()), *(tag[:TAG_LENGTH] for tag in tags)]))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing: metrics come from metrics.jsonl when a checkpoint has been written."""

    @rank_zero_only
    def save(self) -> None:
        """Sends what is new."""
        checkpoints = saved(self.run.checkpoints)
        upto = step_of(checkpoints[-1]) if checkpoints else -1
        if self._sent is None:
            self._sent = self._mirrored()
        if upto <= self._sent or not self.run.metrics.exists():
            return
        import wandb

        pictures: dict[int, dict[str, Any]] = {}
        for path in sorted(self.run.samples.glob("*.png")):
            track, step = path.stem.rsplit("_", 1)
            pictures.setdefault(int(step), {})[f"samples/{track}"] = wandb.Image(str(path))
        for row in read_metrics(self.run.metrics):
            step = int(row["step"])
            if self._sent < step <= upto:
                values = {name: value for name, value in row.items() if name != "step"}
                self.logger.experiment.log(values | pictures.get(step, {}), step=step)
        self._sent = upto

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
        self.logger.experiment.finish(exit_code=0 if status == "success" else 1)

    def _mirrored(self) -> int:
        """The step up to which W&B has everything: what earlier starts left on this disk, or what the server says of a continued run."""
        return max(last_mirrored_step(self.run.path / "wandb"), self.logger.experiment.step - 1)


def weights_and_biases(
    project: str, entity: str | None, mode: str, run: RunDirectory, identity: str, group: str, name: str
) -> Mirror:
    """The mirror of a run, continuing the W&B run of the same identity.

    A run that is called <project>/<row> belongs to a study: its group is the row, and the seeds are its replicates.

    mode   online, offline or disabled; auto is $WANDB_MODE, else online for a user who is logged in and offline for others
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
    if mode not in ("online", "offline", "disabled"):
        raise ValueError(f"logger.wandb.mode={mode}: expected auto, online, offline or disabled")
    run.path.mkdir(parents=True, exist_ok=True)
    study, _, row = group.partition("/")
    labels = {"study": study, "row": row} if row and study == project else {}
    logger = WandbLogger(
        project=project,
        entity=entity,
        id=identity,
        group=labels.get("row", group),
        job_type="train",
        name=name,
        save_dir=str(run.path),
        resume="allow",
        offline=mode == "offline",
        mode=mode,
    )
    return Mirror(run, logger, labels)
