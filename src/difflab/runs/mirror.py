"""The mirror of a run in Weights & Biases."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import read_metrics
from difflab.runs.wandb_file import last_mirrored_step
from difflab.runs.wandb_login import logged_in

TAG_LENGTH = 64
"""W&B takes no longer ones."""

_NAME = re.compile(r"(?!\.{1,2}$)[^/\\#?%:\x00-\x1f]+")
"""What W&B takes for a project or an entity."""

STEP = "trainer/global_step"
"""The optimizer step as a column: what charts are drawn over."""


class Mirror(Logger):
    """Sends each line of metrics.jsonl to W&B as soon as it is written, with the pictures of its step.

    The run directory is the truth. After a crash the run goes on from a checkpoint and writes some lines once more: W&B has those of
    the first time and is sent none twice, online as offline; what a crash has lost on its way is sent when the run goes on. (A run that
    goes back after a divergence takes another course: W&B keeps the lines of the old one up to the step that it had reached.)

    Args:
        run: The directory that is mirrored.
        logger: Of the W&B run.
        labels: What the run is in its study, for the W&B configuration and as tags; empty outside of one.
    """

    def __init__(self, run: RunDirectory, logger: WandbLogger, labels: Mapping[str, str]):
        super().__init__()
        self.run = run
        self.logger = logger
        self.labels = labels
        self._sent: int | None = None
        self._read = 0

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
        """Nothing: metrics come from metrics.jsonl when a line has been written."""

    @rank_zero_only
    def save(self) -> None:
        """Sends what is new."""
        if self._sent is None:
            self._sent = self._mirrored()
        for row in self._new_rows():
            step = int(row.pop("step"))
            if step > self._sent:
                self.logger.experiment.log(row | {STEP: step} | self._pictures(step), step=step, commit=True)
                self._sent = step

    def summarise(self, params: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Adds numbers to the summary of the W&B run after training, beside the last value of everything that was logged.

        An upload of an offline piece may put its summary in the place of the earlier one, so all of it is said. Numbers that cannot be
        sent are in the run directory all the same: that is a warning.

        Args:
            params: What `log_hyperparams` was given.
            scores: Name -> value, as evaluate.py has measured them.
        """
        import wandb

        last: dict[str, float] = {}
        for row in read_metrics(self.run.metrics) if self.run.metrics.exists() else []:
            last |= {STEP if name == "step" else name: value for name, value in row.items()}
        try:
            self.log_hyperparams(dict(params))
            self.logger.experiment.summary.update(last | dict(scores))
            self.logger.experiment.finish()
        except (wandb.Error, OSError) as error:
            warnings.warn(
                f"W&B does not take the scores of {self.run.path}: {' '.join(str(error).split())}", stacklevel=2
            )

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
        self.logger.experiment.finish(exit_code=0 if status == "success" else 1)

    def _new_rows(self) -> list[dict[str, float]]:
        """The whole lines that were written since the last look, in order. A run that is interrupted between two writers of one step
        has that step in two lines."""
        if not self.run.metrics.exists():
            return []
        with self.run.metrics.open("rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + 1 if whole else 0
        rows: dict[float, dict[str, float]] = {}
        for line in whole.splitlines():
            row = json.loads(line)
            rows.setdefault(row["step"], {}).update(row)
        return list(rows.values())

    def _pictures(self, step: int) -> dict[str, Any]:
        found = sorted(self.run.samples.glob(f"*_{step:08d}.png"))
        if not found:
            return {}
        import wandb

        return {f"samples/{path.stem.rsplit('_', 1)[0]}": wandb.Image(str(path)) for path in found}

    def _mirrored(self) -> int:
        """The step up to which W&B has everything: what earlier starts left on this disk, or what the server says of a continued run."""
        return max(last_mirrored_step(self.run.path / "wandb"), self.logger.experiment.step - 1)


def weights_and_biases(
    project: str,
    entity: str | None,
    mode: str,
    run: RunDirectory,
    identity: str,
    group: str,
    name: str,
) -> Mirror:
    """The mirror of a run, continuing the W&B run of the same identity.

    A run that is called <project>/<row> belongs to a study: its group is the row, and the seeds are its replicates.

    mode   online, offline or disabled; auto is $WANDB_MODE, else online for a user who is logged in and offline for others
    """
    for key, value in (("project", project), ("entity", entity or "mine")):
        if not _NAME.fullmatch(str(value)):
            raise ValueError(f"logger.wandb.{key}={value}: W&B has no such names; leave out / \\ # ? % : and ..")
    os.environ.setdefault("WANDB_SILENT", "true")
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
        mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)  # what W&B called them at first
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
        save_dir=str(run.path.absolute()),  # W&B writes to it until the end, wherever the process is then
        resume="allow",
        mode=mode,  # and not Lightning's `offline`, which sets WANDB_MODE for all that this process does later
    )
    return Mirror(run, logger, labels)
