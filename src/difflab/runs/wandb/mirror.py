"""The mirror of a run in Weights & Biases."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from difflab.runs.directory import RunDirectory
from difflab.runs.loggers import Aside, Job, what
from difflab.runs.metrics_file import MetricsTail
from difflab.runs.wandb.artifacts import LogModel, ModelVersions, code_artifact, without_secrets
from difflab.runs.wandb.description import Description, Said, said_earlier, tags_of, write_place
from difflab.runs.wandb.offline_file import last_mirrored_step
from difflab.runs.wandb.results import grids_of_step
from difflab.runs.wandb.service import WandbService, chosen_mode
from difflab.runs.wandb.watch import STEP, Watch, WatchCallback, define_metrics, summary_of

_log = logging.getLogger(__name__)

TO_BEGIN, TO_STOP, TO_END = 30.0, 20.0, {"online": 300.0, "offline": 60.0, "disabled": 0.0}
"""Seconds that W&B may take before difflab goes on without it: at the start, where a run is interrupted, and by mode at the end."""

UPLOAD = 1e6
"""Bytes per second that weights which go online at the end are given time for, after the seconds above."""

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
        description: What the W&B run is called, and where it is.
        mode: online, offline or disabled.
        models: Whose weights go up as an artifact.
        log_code: Whether code and configuration do.
        watch: Makes histograms of what is trained; None for none.
    """

    def __init__(
        self,
        run: RunDirectory,
        description: Description,
        mode: str,
        models: ModelVersions,
        log_code: bool,
        watch: WatchCallback | None,
    ):
        super().__init__()
        self.run = run
        self.description = description
        self.mode = mode
        self.models = models
        self.log_code = log_code
        self.watch = watch
        self.experiment: Any = None
        self._folder = run.path / "wandb"
        self._behind = self._folder / "behind"
        self._aside: Aside | None = None
        self._service = WandbService()
        self._sent = -1
        self._tail: MetricsTail | None = None
        self._params: dict[str, Any] = {}
        self._tags: tuple[str, ...] = ()
        self._restarts = 0
        self._given_up = False
        self._offline = mode == "offline"

    @property
    def name(self) -> str | None:
        return self.description.project

    @property
    def version(self) -> str | int | None:
        return self.description.id

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Begins the W&B run."""
        if self.mode == "disabled":
            return
        self._params = dict(params)
        if self._aside is None:
            self._aside = Aside("W&B", self._failed)
            self._aside.do(self._begin)
        self._aside.do(self._describe)
        self._aside.wait(TO_BEGIN)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing: metrics come from metrics.jsonl when a line has been written."""

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Has the module in training watched, where that was asked for."""
        if self._aside is not None and self.watch:
            model.trainer.callbacks.insert(0, self.watch)

    @rank_zero_only
    def save(self) -> None:
        """Has sent what is new."""
        if self._aside is not None:
            self._aside.do(self._send)
            self._aside.do(lambda: self.models.send(self.experiment))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Sends what is new and ends the W&B run."""
        self.save()
        self._end(0 if status == "success" else 1, TO_END[self.mode] if status == "success" else TO_STOP)

    def catch_up(self, params: Mapping[str, Any]) -> None:
        """Sends what an earlier start could not, and the weights of a finished run.

        Args:
            params: What `log_hyperparams` is given.
        """
        if self._behind.exists() or (self.mode != "disabled" and self.models.lacking()):
            self.log_hyperparams(params)
            self.finalize("success")

    def summarise(self, params: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Adds to the summary of the W&B run after training, beside what was logged.

        Args:
            params: What `log_hyperparams` was given.
            scores: Name -> value, as evaluate.py has measured them.
        """
        self.log_hyperparams(params)
        if self._aside is not None:
            self._aside.do(lambda: self.experiment.summary.update(dict(scores)))
        self._end(0, TO_END[self.mode])

    def _begin(self) -> None:
        self._service.start()
        atexit.register(self._end, 1, TO_STOP)  # before W&B's own, which waits for ever
        earlier, offline = said_earlier(self._folder), self._offline
        settings = self.description.settings(self._params, earlier, online=not offline)
        # W&B writes to the directory until the end, wherever the process is then
        settings["dir"] = os.path.abspath(self.run.path)
        self.experiment, online = self._service.begin(settings, "offline" if offline else self.mode)
        self._offline = not online
        self._tags = () if online else earlier.tags
        define_metrics(self.experiment, self._protocols())
        self._sent = max(last_mirrored_step(self._folder), self.experiment.step - 1)
        self._tail = MetricsTail(self.run.metrics, self._sent)
        write_place(self.run.path, self.description, self.experiment, online)

    def _describe(self) -> None:
        labels = self.description.labels(self._params)
        self.experiment.config.update(without_secrets(self._params) | labels, allow_val_change=True)
        if tags := self.description.tags(self._params, [*self._tags, *(self.experiment.tags or ())]):
            self.experiment.tags = tags
        if self.log_code and (artifact := code_artifact(self.run, self._params)):
            self.experiment.log_artifact(artifact)

    def _protocols(self) -> Mapping[str, Any]:
        return self._params.get("protocol") or {}

    def _send(self) -> None:
        for row in self._tail.new() if self._tail else ():
            step = int(row.pop("step"))
            if step > self._sent:
                watched = self.watch.taken(step) if self.watch else {}
                self.experiment.log(
                    row | {STEP: step} | grids_of_step(self.run, step) | watched, step=step, commit=True
                )
                self._sent = step

    def _end(self, exit_code: int, seconds: float) -> None:
        """Ends the W&B run and its process, the hard way where it does not answer."""
        atexit.unregister(self._end)
        aside, self._aside = self._aside, None
        if aside is None:
            return
        aside.do(partial(self._finish, exit_code))
        if not aside.end(seconds) and not (self.mode == "online" and aside.end(self.models.bytes / UPLOAD)):
            self._give_up(f"has not answered for {seconds:g} s")
            self._service.kill()
            aside.end(5.0)

    def _finish(self, exit_code: int) -> None:
        self.experiment.summary.update(summary_of(self.run, self._protocols()))
        self.experiment.finish(exit_code=exit_code)
        self._service.end()
        kept = last_mirrored_step(self._folder) if self._offline else self._sent
        if self._service.ours and kept < self._sent:  # a full disk: W&B does not say so
            self._sent = kept
            self._give_up("has not kept all that it was sent (is the disk full?)")
        else:
            self.models.keep(uploaded=not self._offline)
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
        self.models.forget()
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
            self._folder,
        )


def weights_and_biases(
    project: str,
    entity: str | None,
    mode: str,
    run: RunDirectory,
    identity: str,
    group: str | None = None,
    name: str | None = None,
    job_type: str = "train",
    tags: str | Sequence[str] = (),
    notes: str | None = None,
    log_model: LogModel = False,
    log_code: bool = False,
    watch: Watch | None = None,
    log_freq: int = 1000,
) -> Mirror:
    """The mirror of a run, continuing the W&B run of the same identity.

    A run that is called <project>/<row> belongs to a study: its group is the row, and the seeds are its replicates.

    Args:
        project: Of W&B.
        entity: Of W&B; None for the user's default.
        mode: online, offline, disabled or auto, see `chosen_mode`.
        run: The directory that is mirrored.
        identity: Of the run, which is the W&B run's as well.
        group: The user's own; None for the run's name.
        name: What the W&B run is called; None leaves what it is called, at first by the run's name, seed and identity.
        job_type: Of W&B.
        tags: Of the W&B run; those of earlier starts stay.
        notes: Of the W&B run; None leaves those of earlier starts.
        log_model: Whose weights go up as an artifact, see `LogModel`.
        log_code: Whether code and configuration do.
        watch: gradients, parameters or all: what histograms are made of.
        log_freq: Optimizer steps between histograms.
    """
    said = Said(name, notes, tags_of(tags))
    description = Description(project, entity, identity, group, job_type, said)
    watcher = WatchCallback(watch, log_freq) if watch else None
    return Mirror(run, description, chosen_mode(mode), ModelVersions(run, log_model), log_code, watcher)
