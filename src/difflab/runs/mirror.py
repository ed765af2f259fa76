"""The mirror of a run in Weights & Biases."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import wandb
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from difflab.runs.aside import Aside, Job
from difflab.runs.directory import RunDirectory
from difflab.runs.guarded import what
from difflab.runs.metrics_file import rows
from difflab.runs.metrics_tail import MetricsTail
from difflab.runs.wandb_file import last_mirrored_step
from difflab.runs.wandb_login import chosen_mode
from difflab.runs.wandb_service import WandbService

_log = logging.getLogger(__name__)

TAG_LENGTH = 64
"""W&B takes no longer ones."""

_NAME = re.compile(r"(?!\.{1,2}$)[^/\\#?%:\x00-\x1f]+")
"""What W&B takes for a project or an entity."""

STEP = "trainer/global_step"
"""The optimizer step as a column: what charts are drawn over."""

TO_BEGIN, TO_STOP, TO_END = 30.0, 20.0, {"online": 300.0, "offline": 60.0, "disabled": 0.0}
"""Seconds that W&B may take before difflab goes on without it: at the start, where a run is interrupted, and by mode at the end."""

RESTARTS = 2
"""Of W&B within a start. SLURM's signals, for one, go to all processes of a job, and W&B's ends by them."""


class Mirror(Logger):
    """Sends each line of metrics.jsonl to W&B as soon as it is written, with the pictures of its step.

    The run directory is the truth. After a crash the run goes on from a checkpoint and writes some lines once more: W&B has those of
    the first time and is sent none twice, online as offline; what a crash has lost on its way is sent when the run goes on. (A run that
    goes back after a divergence takes another course: W&B keeps the lines of the old one up to the step that it had reached.)

    Training never waits for W&B for longer than said above. Where W&B's process has ended it is started again and sent what it lacks. Its
    hang or refusal is a warning: `wandb/behind` in the run directory then tells the next start of the same command, also of a complete
    run, that there is something to send.

    Args:
        run: The directory that is mirrored.
        settings: Arguments of `wandb.init`, but for the mode.
        mode: online, offline or disabled.
        labels: What the run is in its study, for the W&B configuration and as tags; empty outside of one.
    """

    def __init__(self, run: RunDirectory, settings: Mapping[str, Any], mode: str, labels: Mapping[str, str]):
        super().__init__()
        self.run = run
        self.settings = settings
        self.mode = mode
        self.labels = dict(labels)
        self.experiment: Any = None
        self._behind = run.path / "wandb" / "behind"
        self._aside: Aside | None = None
        self._service = WandbService()
        self._sent = -1
        self._tail: MetricsTail | None = None
        self._params: dict[str, Any] = {}
        self._restarts = 0
        self._given_up = False
        self._offline = mode == "offline"

    @property
    def name(self) -> str | None:
        return self.settings["project"]

    @property
    def version(self) -> str | int | None:
        return self.settings["id"]

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Begins the W&B run."""
        if self.mode == "disabled":
            return
        if self._aside is None:
            self._aside = Aside("W&B", self._failed)
            self._aside.do(self._begin)
        self._params = dict(params)
        self._aside.do(self._describe)
        self._aside.wait(TO_BEGIN)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing: metrics come from metrics.jsonl when a line has been written."""

    @rank_zero_only
    def save(self) -> None:
        """Has sent what is new."""
        if self._aside is not None:
            self._aside.do(self._send)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Sends what is new and ends the W&B run."""
        self.save()
        self._end(0 if status == "success" else 1, TO_END[self.mode] if status == "success" else TO_STOP)

    def catch_up(self, params: Mapping[str, Any]) -> None:
        """Sends what an earlier start could not.

        Args:
            params: What `log_hyperparams` is given.
        """
        if self._behind.exists():
            self.log_hyperparams(params)
            self.finalize("success")

    def summarise(self, params: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Adds numbers to the summary of the W&B run after training, beside the last value of everything that was logged.

        An upload of an offline piece may put its summary in the place of the earlier one, so all of it is said.

        Args:
            params: What `log_hyperparams` was given.
            scores: Name -> value, as evaluate.py has measured them.
        """
        last: dict[str, float] = {}
        for row in rows(self.run.metrics) if self.run.metrics.exists() else ():
            last |= {STEP if name == "step" else name: value for name, value in row.items()}
        self.log_hyperparams(params)
        if self._aside is not None:
            self._aside.do(lambda: self.experiment.summary.update(last | dict(scores)))
        self._end(0, TO_END[self.mode])

    def _begin(self) -> None:
        self._service.start()
        atexit.register(self._end, 1, TO_STOP)  # before W&B's own, which waits for ever
        try:
            self.experiment = self._init("offline" if self._offline else self.mode)
        except Exception as error:
            if self._offline:
                raise
            _log.warning(
                "W&B does not take this run online (%s): this start is recorded in %s, from where `wandb sync` sends it",
                what(error),
                self.run.path / "wandb",
            )
            self._offline = True
            self._service.kill()  # it keeps the run's name for the one that failed
            self._service.end()
            self._service.start()
            self.experiment = self._init("offline")
        self.experiment.define_metric(STEP)
        self.experiment.define_metric("*", step_metric=STEP, step_sync=True)
        self._sent = max(last_mirrored_step(self.run.path / "wandb"), self.experiment.step - 1)
        self._tail = MetricsTail(self.run.metrics, self._sent)

    def _init(self, mode: str) -> Any:
        # a W&B run of its own, whatever others this process has
        return wandb.init(**self.settings, mode=mode, reinit="create_new")  # type: ignore[arg-type]

    def _describe(self) -> None:
        self.experiment.config.update(self._params | self.labels, allow_val_change=True)
        if self.labels:
            tags = [*self.labels.values(), f"seed {self._params['seed']}"]
            self.experiment.tags = tuple(
                dict.fromkeys([*(self.experiment.tags or ()), *(tag[:TAG_LENGTH] for tag in tags)])
            )

    def _send(self) -> None:
        for row in self._tail.new() if self._tail else ():
            step = int(row.pop("step"))
            if step > self._sent:
                self.experiment.log(row | {STEP: step} | self._pictures(step), step=step, commit=True)
                self._sent = step

    def _pictures(self, step: int) -> dict[str, Any]:
        found = {}
        for track, path in self.run.pictures(step).items():
            try:
                found[f"samples/{track}"] = wandb.Image(str(path))
            except (OSError, ValueError, SyntaxError) as error:
                _log.warning("%s is no picture that W&B takes: %s", path, what(error))
        return found

    def _end(self, exit_code: int, seconds: float) -> None:
        """Ends the W&B run and its process, the hard way where it does not answer."""
        atexit.unregister(self._end)
        aside, self._aside = self._aside, None
        if aside is None:
            return
        aside.do(partial(self._finish, exit_code))
        if not aside.end(seconds):
            self._give_up(f"has not answered for {seconds:g} s")
            self._service.kill()
            aside.end(5.0)

    def _finish(self, exit_code: int) -> None:
        self.experiment.finish(exit_code=exit_code)
        self._service.end()
        kept = last_mirrored_step(self.run.path / "wandb") if self._offline else self._sent
        if self._service.ours and kept < self._sent:  # a full disk: W&B does not say so
            self._sent = kept
            self._give_up("has not kept all that it was sent (is the disk full?)")
        else:
            self._behind.unlink(missing_ok=True)

    def _failed(self, job: Job, error: BaseException) -> bool:
        """Starts W&B again and repeats the job, or gives W&B up."""
        while self._service.ours and self.experiment and self._restarts < RESTARTS and not self._given_up:
            self._restarts += 1
            _log.warning("W&B has failed (%s) and is started again: it gets what it lacks", what(error))
            self._let_go()
            try:
                self._begin()
                self._describe()
                job()
            except BaseException as again:
                error = again
            else:
                return True
        self._give_up(f"has failed ({what(error)})")
        self._let_go()
        return False

    def _let_go(self) -> None:
        """Ends W&B's process and its hold on the output of this one."""
        self._service.kill()
        with contextlib.suppress(Exception, SystemExit):
            self.experiment.finish(exit_code=1)
        self._service.end()

    def _give_up(self, why: str) -> None:
        if self._given_up:
            return
        self._given_up = True
        has = f"has this run up to step {self._sent}" if self._sent >= 0 else "may have nothing of this run"
        with contextlib.suppress(OSError):  # a full disk, which may be why
            self._behind.parent.mkdir(parents=True, exist_ok=True)
            self._behind.touch()
        _log.warning(
            "W&B %s and %s; metrics.jsonl has all of it, and the next start of the same command sends what is missing. What W&B left in "
            "%s goes up by `wandb sync`",
            why,
            has,
            self.run.path / "wandb",
        )


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

    Args:
        project: Of W&B.
        entity: Of W&B; None for the user's default.
        mode: online, offline, disabled or auto, see `chosen_mode`.
        run: The directory that is mirrored.
        identity: Of the run, which is the W&B run's as well.
        group: The run's name.
        name: What the W&B run is called.
    """
    for key, value in (("project", project), ("entity", entity or "mine")):
        if not _NAME.fullmatch(str(value)):
            raise ValueError(f"logger.wandb.{key}={value}: W&B has no such names; leave out / \\ # ? % : and ..")
    study, _, row = group.partition("/")
    labels = {"study": study, "row": row} if row and study == project else {}
    settings = {
        "project": project,
        "entity": entity,
        "id": identity,
        "group": labels.get("row", group),
        "job_type": "train",
        "name": name,
        "dir": os.path.abspath(run.path),  # W&B writes to it until the end, wherever the process is then
        "resume": "allow",
    }
    return Mirror(run, settings, chosen_mode(mode), labels)
