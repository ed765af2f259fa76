"""Training: compose -> instantiate -> fit."""

from __future__ import annotations

import copy
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from difflab.cli.entry import arguments, ended_together, fail, help_text, run_hydra, wants_help
from difflab.config.sweep_rows import Ended
from difflab.runtime.invocation import command

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = [
    ("train +experiment=cosine_adagn", "the headline run on the embedded digits, minutes on a laptop"),
    ("train +experiment=list", "all experiments with a line on each"),
    (
        "train +experiment=cosine_adagn schedule=linear seed=1",
        "a variant of it: another schedule, another seed",
    ),
    (
        "train -m +experiment=cosine_adagn,linear_adagn seed=0,1,2",
        "several variants and seeds after each other",
    ),
    (
        "train +experiment=iddpm/cifar10/cosine_hybrid_T4000 trainer.accelerator=gpu trainer.precision=bf16-mixed",
        "a published model on a GPU",
    ),
]

VALUES = [
    "seed  condition_dropout  trainer.max_steps  trainer.precision  trainer.devices  data.batch_size (the global batch)",
    "init_from=RUN|FILE|openai:FILE (weights to start from)  init_from.track  init_from.keys  init_from.skip",
    "eval.every  eval.num_samples  eval.tracks  checkpoint.every  run.root  run.name  run.restart",
    "and every key of a chosen part, as network.width=64. `--cfg job` prints them all; `--hydra-help` is Hydra's own help.",
]


def main() -> None:
    """The command line of train.py."""
    from difflab.config.paths import listed_group, listing

    words = arguments()
    if not words or wants_help(words):
        print(
            help_text("train", "trains a diffusion model and scores its samples", EXAMPLES, VALUES, lambda group: True)
        )
    elif group := listed_group(words):
        print(listing(group))
    else:
        run_hydra("train", train, check_training)


def train(config: DictConfig) -> float | None:
    """Trains the model that the configuration describes, going on where an earlier start of the same command stopped; returns the
    finished run's score."""
    from hydra.errors import InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from difflab.config import resolvers
    from difflab.config.build import cause
    from difflab.config.keys import ConfigError
    from difflab.data import DataError
    from difflab.files import WriteError
    from difflab.launch.slurm import SubmissionError, ends_recorded
    from difflab.runs import RunBusyError
    from difflab.runs.agreement import OlderStateError
    from difflab.runtime.signals import signals, starting

    resolvers.add_resolvers()  # a sweep's launcher may call this in a process of its own
    with ends_recorded(), signals.held(), ended_together():
        try:
            signals.enter(starting())
            return _launch(config)
        except (ConfigError, DataError, SubmissionError, WriteError, OmegaConfBaseException) as error:
            fail(" ".join(str(error).split()))
        except RunBusyError as error:
            fail(str(error), error.exit_code)
        except OlderStateError as error:
            fail(str(error), 1)
        except InstantiationException as error:
            fail(cause(error))


def check_training(config: DictConfig) -> None:
    """Raises a ConfigError for a configuration that cannot be run."""
    from difflab.training.run.checks import checked_training

    checked_training(config)


def _launch(config: DictConfig) -> float | None:
    """Checks the configuration and has it trained where `launcher` says."""
    from hydra.errors import InstantiationException

    from difflab.config.build import cause
    from difflab.config.groups import command_words
    from difflab.config.keys import ConfigError
    from difflab.runtime.console import quiet_lightning
    from difflab.training.run.checks import checked_training

    quiet_lightning()
    as_typed = copy.deepcopy(config)
    launcher, strategy, processes = checked_training(config)
    try:
        return launcher.launch(lambda: _train(config, strategy, processes), command_words(), str(config.run.name))
    except InstantiationException as error:
        raise ConfigError(cause(error, as_typed)) from error


def _train(config: DictConfig, strategy: Any, processes: int) -> float | None:
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.checkpoints.initial import InitialWeights
    from difflab.config.groups import command_words
    from difflab.config.keys import ConfigError
    from difflab.config.sweep_rows import works_on
    from difflab.config.trainer_arguments import check_accelerator
    from difflab.data.errors import warn
    from difflab.distributed.meeting import meeting
    from difflab.distributed.placement import idle_tasks
    from difflab.distributed.world import connect
    from difflab.files import WriteError
    from difflab.launch.slurm import record_run
    from difflab.networks import initialise
    from difflab.reading.weights import read_checkpoint
    from difflab.runs import RunDirectory, RunLock, go_back, identity, newest, provenance
    from difflab.runs.agreement import chosen_checkpoint, chosen_detours, chosen_directory, chosen_end, own_code
    from difflab.runs.changes import changed_content, changes, new_code
    from difflab.runs.checkpoints import step_of
    from difflab.runs.continuation import Course, take_over
    from difflab.runs.export import export_all
    from difflab.runs.identity import code_of
    from difflab.runs.provenance import without_diffs
    from difflab.runs.saved_checkpoints import set_aside, unfit_for
    from difflab.runs.wandb.after_training import catch_up
    from difflab.runs.wandb.description import wandb_place
    from difflab.runtime import Interruption, launched_rank
    from difflab.runtime.foreign_code import foreign_code
    from difflab.runtime.rank import SLACK
    from difflab.runtime.signals import TRAINING, signals
    from difflab.training.run.exit_status import Outcome, fit
    from difflab.training.run.recipe import place, recipe
    from difflab.training.run.score import report, score, told_scores
    from difflab.training.run.trainer import watched_trainer

    check_accelerator(config.trainer.accelerator)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    torch.manual_seed(config.seed)  # for weights that a network draws in a way of its own
    module = instantiate(config.module, _convert_="all")
    initialise(module.model, config.seed)
    data = instantiate(config.data, _convert_="all")

    evaluation = instantiate(config.evaluation, _convert_="all").fitting(data)

    code = code_of(resolved)
    initial = InitialWeights.of(config, module.model)
    weights = initial.fingerprint
    name = identity(resolved, data.fingerprint, evaluation.fingerprint, code.fingerprints(), weights)
    meeting().roll_call({"configuration, data or code of the user's": name, "difflab": own_code()})
    run = RunDirectory(chosen_directory(config, name))
    works_on(run.path)
    if chosen_end(run):
        if launched_rank() == 0:
            end = run.early_end() or f"{config.trainer.max_steps} steps"
            print(f"already complete: the same command has been run to its end ({end})")
            for line in changes(run, code, evaluation.all_protocols(config, module, data)):
                print(line)
            catch_up(config, run)
            print(told_scores(evaluation, data, run))
            report(run)
        return score(evaluation, run)

    try:
        interruption = Interruption(
            config.trainer.max_time or "", config.run.margin, (strategy.timeout + SLACK).total_seconds() / 60
        )
        lock = RunLock(run.path)
        trainer = watched_trainer(
            config, run, lock, module, data, evaluation, interruption, strategy.lightning(processes)
        )
        strategy.check_module(module, trainer.gradient_clip_algorithm)
        module.objective.check_division(trainer.accumulate_grad_batches, trainer.world_size)
        protocols = evaluation.all_protocols(config, module, data)
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    if changed := changed_content(run, protocols):
        raise ConfigError(
            f"{run.path} was begun with another content of what {', '.join(changed)} stands for, and its scores would be of two kinds: "
            "put that back, or begin anew beside it by run.restart=true"
        )
    unfit = unfit_for(module.state_dict())
    if trainer.world_size == 1 and (idle := idle_tasks()):
        print(
            f"this SLURM allocation has {idle + 1} tasks and this command is one process: `srun {command('train')} ...` uses all of them",
            file=sys.stderr,
        )
    meeting().roll_call({})
    if not trainer.is_global_zero:
        checkpoint = chosen_checkpoint(run.checkpoints, unfit)
        initial.check_begun(checkpoint)
        module.detours = chosen_detours(run)
        meeting().roll_call({"state": str(checkpoint)})
        meeting().adjourn()
        signals.enter(TRAINING)
        connect(config.trainer.accelerator, strategy.timeout)
        outcome = fit(trainer, module, data, checkpoint)
        if outcome.name == "failed":
            raise Ended(outcome.exit_code, outcome.message)
        return None
    taken_over: list[str] = []

    def prepare() -> None:
        lock.acquire()
        course = Course(run.path, resolved, data.fingerprint, weights)
        taken_over.extend(take_over(run, name, course, protocols, evaluation.monitor, unfit))

    try:
        checkpoint = chosen_checkpoint(run.checkpoints, unfit, before=prepare)
        initial.check_begun(checkpoint)
        set_aside(run.checkpoints, checkpoint)
        module.detours = chosen_detours(run)
        meeting().roll_call({"state": str(checkpoint)})
        meeting().adjourn()
        signals.enter(TRAINING)
        record_run(run.path)
        step = step_of(checkpoint) if checkpoint else 0
        configuration = identity(resolved, data.fingerprint, evaluation.fingerprint, {}, weights)
        if config.condition_dropout and not config.embedder and not config.conditioning:
            warn(
                f"condition_dropout={config.condition_dropout} drops nothing: the network is told nothing (embedder=none)"
            )
        told = new_code(run.path, configuration, code)
        print(place(config, trainer, run, name))
        print(recipe(config, module, data, evaluation))
        for line in filter(None, [told, initial.changed(run), *taken_over, initial.said(checkpoint)]):
            print(line)
        if checkpoint:
            print(f"resuming from step {step} ({checkpoint})")
            for line in changes(run, code, protocols):
                print(line)
        images = {"fingerprint": data.fingerprint, "images": len(data.dataset)}
        start: dict[str, Any] = provenance(foreign_code(resolved)) | {
            "from_step": step,
            "configuration": configuration,
            "overrides": command_words(),
            "data": images,
            "empty_classes": data.empty_classes,
            **initial.record(run),
        }
        run.begin(OmegaConf.to_yaml(config, resolve=True), start, protocols)
        trainer.loggers[0].rewind(step)
        for logger in trainer.loggers:
            logger.log_hyperparams(resolved | {"protocol": protocols, "provenance": without_diffs(start)})
        for line in mirrored.lines() if (mirrored := wandb_place(run.path)) else ():
            print(line)
        try:
            connect(config.trainer.accelerator, strategy.timeout)
            outcome = fit(trainer, module, data, checkpoint)
        except BaseException:
            with suppress(WriteError):
                run.end("failed", trainer.global_step, trainer.global_step * config.data.batch_size)
            raise
        if why := lock.lost():  # perhaps noticed by a file that could not be written
            outcome = Outcome("lost", why, exit_code=4)
        try:
            if outcome.name != "lost":
                run.end(outcome.name, trainer.global_step, trainer.global_step * config.data.batch_size)
            if outcome.give_up:
                go_back(run, outcome.give_up)
            last = newest(run.checkpoints, unfit)
            if outcome.name == "complete" and last:
                export_all(
                    run.weights,
                    read_checkpoint(last),
                    run.config.read_text(encoding="utf-8"),
                    images,
                )
                if outcome.early:
                    print(outcome.early)
                run.finish({"step": trainer.global_step, **run.last_scores()}, outcome.early)
                catch_up(config, run)
                report(run)
        except WriteError as error:
            outcome = outcome if outcome.message else Outcome("failed", str(error), exit_code=4)
    finally:
        lock.release()
    if outcome.message:
        print(f"{run.path}: {outcome.message}", file=sys.stderr)
        raise Ended(outcome.exit_code, outcome.message, interruption.ends_others)
    return score(evaluation, run)
