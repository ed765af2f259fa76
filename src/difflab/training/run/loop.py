"""A training run, from its options to its score."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from difflab.checkpoints.continued import continue_run
from difflab.checkpoints.initial import InitialWeights
from difflab.cluster.attempts import record_run
from difflab.config.arguments import check_accelerator
from difflab.config.keys import ConfigError
from difflab.config.sweep_rows import Ended, works_on
from difflab.config.training import TrainingOptions
from difflab.data.errors import warn
from difflab.distributed.meeting import meeting
from difflab.distributed.placement import idle_tasks
from difflab.distributed.world import connect
from difflab.files import WriteError
from difflab.networks import initialise
from difflab.networks.network import check_image, networks_of
from difflab.reading.arrays import read_checkpoint
from difflab.runs import MetricsLog, RunDirectory, RunLock, identity, newest, provenance, roll_back
from difflab.runs.continuation import FROZEN, Course, take_over
from difflab.runs.export import export_all, fingerprints
from difflab.runs.identity import code_of
from difflab.runs.provenance import changed_content, changes, new_code, without_diffs
from difflab.runs.saved_checkpoints import (
    agreed_checkpoint,
    agreed_directory,
    agreed_end,
    agreed_rollbacks,
    own_code,
    set_aside,
    step_of,
    unfit_for,
)
from difflab.runs.wandb.after_training import catch_up
from difflab.runs.wandb.description import wandb_place
from difflab.runtime import Interruption, launched_rank
from difflab.runtime.foreign_code import foreign_code
from difflab.runtime.invocation import command
from difflab.runtime.process import SLACK
from difflab.runtime.signals import TRAINING, signals
from difflab.training.run import trainer as summary
from difflab.training.run.exit_status import ExitStatus, fit
from difflab.training.run.learning import learn
from difflab.training.run.trainer import build_trainer


class TrainingRun:
    """One start of a training: `build`, `prepare`, `fit`, `finish`, in this order. Starting the same command again resumes the run.

    Each step needs what the one before it has made, and nothing is written before all that can be refused has been looked at:

    1. Parts, then identity (`build`). The identity is a hash of the configuration, the content of the data, what evaluates the weights, the
       user's own code and given initial weights, which only the built parts know. It names the run's directory. All processes must have
       found the same one.
    2. Trainer and protocols, then the lock (`prepare`). What the Trainer, the strategy or an evaluation refuses leaves no trace. Protocols
       of the scores are compared with those on record, since a run has scores of one kind.
    3. Lock, then state (`prepare`). Only the holder of the lock looks for the state to resume from, so that nobody else is writing it: the
       newest valid checkpoint of the run, or else that of a run with the same course. Process 0 does so and tells the others.
    4. Record, then train (`fit`). Configuration, protocols and provenance are on the disk before the first step, so that a killed start is
       known.
    5. Weights, then complete.json (`finish`), which vouches for them. The lock is released last, however the start ends.
    """

    def __init__(self, options: TrainingOptions):
        self.options = options

    def run(self) -> float | None:
        """Trains, or says that all is done.

        Returns:
            The finished run's score; None on other processes than the first.

        Raises:
            Ended: Training has not come to its end. The user has been told why.
            ConfigError: The configuration cannot be trained.
            RunBusyError: Another process works on the run.
        """
        self.build()
        if agreed_end(self.directory):
            if launched_rank() == 0:
                self._tell_complete()
            return summary.score(self.evaluation, self.directory)
        try:
            self.prepare()
            self.finish(self.fit())
        finally:
            self.lock.release()
        return summary.score(self.evaluation, self.directory) if self.trainer.is_global_zero else None

    def build(self) -> None:
        """Builds model, data and evaluation, and finds the run's directory by the identity that follows from them."""
        options, config = self.options, self.options.config
        check_accelerator(config["trainer"]["accelerator"])
        torch.manual_seed(options.seed)  # for weights that a network draws in a way of its own
        self.module = options.build("module")
        initialise(self.module.model, options.seed)
        self.data = options.build("data")
        self.data.space = self.module.space
        self.evaluation = options.build("evaluation").fitting(self.data)
        self.code = code_of(config)
        self.initial = InitialWeights.of(options.build("init_from"), Path(options.folder), self.module.model)
        self.adapter = options.build("adapter") or None
        learn(self.module, self.adapter, config, self.initial.given is not None)
        self.frozen = fingerprints({**self.module.objective.objective.models, **self.module.space.models})
        self.identity = self._identity(self.code.fingerprints())
        meeting().roll_call({"configuration, data or code of the user's": self.identity, "difflab": own_code()})
        self.directory = RunDirectory(
            agreed_directory(options.folder, self.identity, options.seed, config["run"]["restart"])
        )
        works_on(self.directory.path)
        self.lock = RunLock(self.directory.path)

    def prepare(self) -> None:
        """Builds the Trainer, takes the lock, and finds the checkpoint to resume from."""
        run, strategy = self.directory, self.options.strategy
        limits = self.options.config["trainer"]["max_time"] or "", self.options.config["run"]["margin"]
        try:
            cond = self.module.objective.told(self.data.example())
            for network in networks_of(self.module.model):
                check_image(network, cond)
            self.told = cond.given
            self.interruption = Interruption(*limits, (strategy.timeout + SLACK).total_seconds() / 60)
            self.trainer = build_trainer(
                self.options, run, self.lock, self.module, self.data, self.evaluation, self.interruption
            )
            strategy.check_module(self.module, self.trainer.gradient_clip_algorithm)
            self.module.check_division(self.trainer.accumulate_grad_batches, self.trainer.world_size)
            self.protocols = self._protocols()
        except ValueError as error:
            raise ConfigError(" ".join(str(error).split())) from error
        self._check_unchanged()
        meeting().roll_call({})
        self.unfit = unfit_for(self.module.state_dict())
        self.checkpoint = agreed_checkpoint(run.checkpoints, self.unfit, before=self._lock_and_take_over)
        self.initial.check_begun(self.checkpoint)
        self.module.rollbacks = agreed_rollbacks(run)
        meeting().roll_call({"state": str(self.checkpoint)})
        meeting().adjourn()
        signals.enter(TRAINING)

    def fit(self) -> ExitStatus:
        """Records the start, and trains."""
        if self.trainer.is_global_zero:
            self._record()
        try:
            connect(self.options.config["trainer"]["accelerator"], self.options.strategy.timeout)
            return fit(self.trainer, self.module, self.data, self.checkpoint)
        except BaseException:
            with suppress(WriteError):
                self._record_end("failed")
            raise

    def finish(self, status: ExitStatus) -> None:
        """Records how the start ended; of a complete run exports the weights and tells what there is."""
        if not self.trainer.is_global_zero:
            if status.name == "failed":
                raise Ended(status.code, status.message)
            return
        if why := self.lock.lost():  # perhaps noticed by a file that could not be written
            status = ExitStatus("lost", why, code=4)
        try:
            if status.name != "lost":
                self._record_end(status.name)
            if status.rollback:
                roll_back(self.directory, status.rollback)
            if status.name == "complete":
                self._complete(status.early)
        except WriteError as error:
            status = status if status.message else ExitStatus("failed", str(error), code=4)
        if status.message:
            print(f"{self.directory.path}: {status.message}", file=sys.stderr)
            raise Ended(status.code, status.message, self.interruption.ends_others)

    def _identity(self, code: dict[str, str]) -> str:
        of_data, of_judges, of_initial = self.data.fingerprint, self.evaluation.fingerprint, self.initial.fingerprint
        return identity(self.options.config, of_data, of_judges, code, of_initial, self.frozen)

    def _protocols(self) -> dict[str, Any]:
        return self.evaluation.all_protocols(self.options.config, self.module, self.data)

    @property
    def _data(self) -> dict[str, Any]:
        """What is written down of the data: what the model was told of them only where it is more than a class."""
        said = {"condition": list(self.told)} if set(self.told) - {"label"} else {}
        return {"fingerprint": self.data.fingerprint, "images": len(self.data.dataset), **said}

    def _tell_complete(self) -> None:
        """Tells of a run that an earlier start has trained to its end."""
        end = self.directory.early_end() or f"{self.options.config['trainer']['max_steps']} steps"
        print(f"already complete: the same command has been run to its end ({end})")
        for line in changes(self.directory, self.code, self._protocols()):
            print(line)
        catch_up(self.options.config["logger"], self.directory)
        print(summary.told_scores(self.evaluation, self.data, self.directory))
        summary.report(self.directory, self.options.words)

    def _check_unchanged(self) -> None:
        """Refuses scores of two kinds in one run, and tells of processes of a SLURM job that would do nothing."""
        if changed := changed_content(self.directory, self.protocols):
            raise ConfigError(
                f"{self.directory.path} was begun with another content of what {', '.join(changed)} stands for, and its scores would be of "
                "two kinds: put that back, or begin anew beside it by run.restart=true"
            )
        if self.trainer.world_size == 1 and (idle := idle_tasks()):
            print(
                f"this SLURM allocation has {idle + 1} tasks and this command is one process: `srun {command('train')} ...` uses all of "
                "them",
                file=sys.stderr,
            )

    def _lock_and_take_over(self) -> None:
        """Takes the lock; a run without a checkpoint gets the state of another one that has trained its first steps."""
        self.lock.acquire()
        run, config, monitor = self.directory, self.options.config, self.evaluation.monitor
        course = Course(run.path, config, self.data.fingerprint, self.initial.fingerprint, self.frozen)
        self.taken_over = take_over(run, self.identity, course, self.protocols, monitor, self.unfit)
        self.taken_over += self.initial.taken_over(
            run,
            newest(run.checkpoints),
            lambda state: continue_run(run, state, self.module, config, self.protocols, monitor),
        )

    def _record(self) -> None:
        """Writes what this start is, into the run's directory and to its loggers, and tells the user."""
        run, config = self.directory, self.options.config
        set_aside(run.checkpoints, self.checkpoint)
        record_run(run.path)
        step = step_of(self.checkpoint) if self.checkpoint else 0
        self._print_start(step)
        start: dict[str, Any] = provenance(foreign_code(config)) | {
            "from_step": step,
            "configuration": self._identity({}),
            "overrides": list(self.options.words),
            "data": self._data,
            "empty_classes": self.data.empty_classes,
            **self.initial.record(run),
            **({FROZEN: self.frozen} if self.frozen else {}),
        }
        run.begin(self.options.yaml, start, self.protocols)
        log, *_ = loggers = self.trainer.loggers
        assert isinstance(log, MetricsLog)
        log.rewind(step)
        for logger in loggers:
            logger.log_hyperparams(dict(config) | {"protocol": self.protocols, "provenance": without_diffs(start)})
        for line in mirror.lines() if (mirror := wandb_place(run.path)) else ():
            print(line)

    def _print_start(self, step: int) -> None:
        options, run = self.options, self.directory
        if (
            options.config["condition_dropout"]
            and not options.config["embedder"]
            and not options.config["conditioning"]
        ):
            warn(
                f"condition_dropout={options.config['condition_dropout']} drops nothing: the network is told nothing (embedder=none)"
            )
        begun = new_code(run.path, self._identity({}), self.code)
        print(summary.place(options, self.trainer, run, self.identity))
        print(summary.recipe(options, self.module, self.data, self.evaluation))
        for line in filter(
            None, [begun, self.initial.changed(run), *self.taken_over, *self.initial.said(self.checkpoint)]
        ):
            print(line)
        if self.checkpoint:
            print(f"resuming from step {step} ({self.checkpoint})")
            for line in changes(run, self.code, self.protocols):
                print(line)

    def _record_end(self, name: str) -> None:
        if self.trainer.is_global_zero:
            step = self.trainer.global_step
            self.directory.end(name, step, step * self.options.batch_size)

    def _complete(self, early: str) -> None:
        run, last = self.directory, newest(self.directory.checkpoints, self.unfit)
        if last is None:
            return
        merged = self.adapter.merged if self.adapter else dict
        export_all(run.weights, read_checkpoint(last), run.config.read_text(encoding="utf-8"), self._data, merged)
        if early:
            print(early)
        run.finish({"step": self.trainer.global_step, **run.last_scores()}, early)
        catch_up(self.options.config["logger"], run)
        summary.report(run, self.options.words)
