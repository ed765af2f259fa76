"""Lightning's Trainer for a run, and what is said of the run before its first step."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

from difflab.config.arguments import given_callbacks, given_loggers
from difflab.data import DataError, ImageData
from difflab.distributed.world import environment
from difflab.ema import YOUNG, Averaging, initial_share
from difflab.evaluation import ScoresCallback
from difflab.evaluation.callback import CheckedCallback, EvaluatedFitLoop, scores_table
from difflab.formatting import number
from difflab.runs import Checkpoints, LockCallback, MetricsLog, RunDirectory, RunLock
from difflab.runs.export import export_weights
from difflab.runs.wandb.description import wandb_place
from difflab.runtime import Interruption, launched_rank
from difflab.runtime.invocation import command
from difflab.sharding import trainable
from difflab.training.callbacks import DivergenceCallback, ProgressCallback, ThroughputCallback
from difflab.training.run.pulse import Pulse
from difflab.training.trained_module import TrainedModule
from difflab.types import sides

if TYPE_CHECKING:
    from difflab.config.training import TrainingOptions
    from difflab.evaluation.in_training import Evaluation


class SnapshotCallback(pl.Callback):
    """Writes every average that post-hoc EMA can combine at intervals to <directory>/step-<step>-std-<std>.safetensors.

    Lightning's restart from a checkpoint writes the same files again; they are the same to the bit.

    Args:
        every: Optimizer steps between snapshots; 0 for none.
        directory: Where they go.
        config: The run's configuration, for the files' headers.
    """

    def __init__(self, every: int, directory: str | Path, config: str):
        self.every = every
        self.directory = Path(directory)
        self.config = config
        self._seen_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._seen_step = trainer.global_step

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._write(trainer, pl_module)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # at the start of the next step the averages have taken in the last one
        self._write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, pl_module: Any) -> None:
        step = trainer.global_step
        if step == self._seen_step:
            return
        self._seen_step = step
        if not self.every or (step % self.every and step != trainer.max_steps):
            return
        tracks = pl_module.ema.tracks
        for name, averaging in tracks.averagings.items():
            if averaging.snapshot_std is not None:
                path = self.directory / f"step-{step:08d}-std-{averaging.snapshot_std:g}.safetensors"
                average = tracks.whole(name)  # every process takes part
                if trainer.is_global_zero:
                    export_weights(path, average, name, step, self.config)


def build_trainer(
    options: TrainingOptions,
    run: RunDirectory,
    lock: RunLock,
    module: TrainedModule[Any],
    data: ImageData,
    evaluation: Evaluation,
    interruption: Interruption,
) -> pl.Trainer:
    """Builds the Trainer of a run, with its callbacks and loggers. Nothing is written, but by loggers of the user's own.

    Raises:
        ValueError: The model cannot be evaluated so, or an interval is none.
        ConfigError: A callback, a logger or an argument of the Trainer is wrong.
    """
    config, every = options.config, options.config["trainer"]["log_every_n_steps"]
    evaluating = evaluation.callback(data, run.samples)
    checkpoints = Checkpoints(
        run.checkpoints,
        **config["checkpoint"],
        monitor=evaluation.monitor,
        evaluated_every=config["eval"]["every"],
        interruption=interruption,
        between_steps=(DataError,),
    )
    shows_progress = config["trainer"].get("enable_progress_bar") is not False
    callbacks = [
        LockCallback(lock),
        Pulse(timedelta(minutes=config["strategy"].get("timeout", 30))),
        evaluating,
        DivergenceCallback(options.build("divergence"), run.diverged, every),
        ThroughputCallback(options.batch_size, every, data.seconds_waited, lambda: checkpoints.seconds),
        *([ProgressCallback(options.batch_size, every)] if shows_progress else []),
        ScoresCallback(evaluation.info(data), evaluation.measured(data)),
        SnapshotCallback(config["ema_snapshots"]["every"], run.snapshots, options.yaml),
        *given_callbacks(config["callbacks"], evaluation.scores(data), evaluation.monitor),
        checkpoints,
    ]
    for callback in callbacks:
        if isinstance(callback, CheckedCallback):
            callback.check(module)
    trainer = options.build(
        "trainer",
        strategy=options.strategy.lightning(options.processes),
        callbacks=callbacks,
        logger=False,
        plugins=[options.build("checkpoint_io"), *environment()],
        default_root_dir=str(run.path),
        max_time=None,  # Lightning's own limit would end with an evaluation that an uninterrupted run has not
    )
    trainer.fit_loop = EvaluatedFitLoop(trainer.fit_loop, evaluating)
    trainer.loggers = [MetricsLog(run.metrics)]
    if launched_rank() == 0:  # last of all: some of them write at once
        trainer.loggers += given_loggers(config, run)
    return trainer


def place(options: TrainingOptions, trainer: Any, run: RunDirectory, name: str) -> str:
    """Which run it is, where its files go and on what it is computed: the first that there is to say."""
    rows = [
        ("run", f"{options.name}, seed {options.seed}, run id {name}"),
        ("output", str(run.path)),
        ("device", f"{_devices(trainer)}, precision {options.config['trainer']['precision']}"),
    ]
    return _lines(rows)


def recipe(options: TrainingOptions, module: Any, data: ImageData, evaluation: Evaluation) -> str:
    """What is trained on what, how, and how it is evaluated."""
    config, batch, images = options.config, options.batch_size, len(data.dataset)
    steps, shape, optimizer = config["trainer"]["max_steps"], config["data"], config["optimizer"]
    parameters, learning = (sum(p.numel() for p in kind) for kind in (module.parameters(), trainable(module).values()))
    learns = f", {number(learning / 1e6)} M of them learn" if learning < parameters else ""
    averages = (
        ", ".join(_average(name, average, steps) for name, average in module.ema.tracks.averagings.items()) or "none"
    )
    size, channels = shape["image_size"], shape["channels"]
    augmented = "".join(f", {one.described}" for one in data.stream.augmentations)
    parts = [f"{part} {_name(config[part])}" for part in ("schedule", "parameterization", "variance") if part in config]
    rows = [
        ("data", f"{_name(shape['dataset'])}: {images:,} images, {'x'.join(map(str, sides(size)))}, {channels} "
                 f"channel{'s' if channels > 1 else ''}, {shape['num_classes'] or 'no'} classes{augmented}"),
        ("model", ", ".join([f"{_name(config['network'])}, {number(parameters / 1e6)} M parameters{learns}", *parts])),
        ("training", f"{steps:,} steps of {batch:,} images = {number(steps * batch / images)} epochs"),
        ("", f"objective {_name(config['objective'])}, {_name(optimizer)}{_rate(optimizer)}, EMA {averages}"),
        ("evaluation", evaluation.described(config)),
    ]  # fmt: skip
    if config["debug"]:
        rows.append(("debug", f"{config['debug']}: a trial, kept apart from results in {config['run']['root']}"))
    return _lines(rows)


def score(evaluation: Evaluation, run: RunDirectory) -> float | None:
    """The number of the last evaluation by which best.ckpt is chosen, and which a search (hydra/sweeper=optuna) makes small."""
    return run.last_scores().get(evaluation.monitor)


def told_scores(evaluation: Evaluation, data: ImageData, run: RunDirectory) -> str:
    """The last evaluation's table, of a run that has not just printed it."""
    scores = run.last_scores()
    return f"scores of {evaluation.measured(data)}\n{scores_table(scores, evaluation.info(data))}" if scores else ""


def another_seed(words: Sequence[str]) -> str:
    """The command of these words with the next seed; "" where they do not say one training."""
    seeds = [word.partition("=")[2] for word in words if word.startswith("seed=")]
    if not words or not all(seed.isdigit() for seed in seeds):
        return ""
    others = [word for word in words if not word.startswith("seed=")]
    return command(shlex.join(["train", *others, f"seed={int(seeds[-1] if seeds else 0) + 1}"]))


def report(run: RunDirectory, words: Sequence[str]) -> None:
    """Prints where things are, and what may be done next; the path of the run is the last line."""
    if grid := run.last_grid():
        print(f"samples  {grid}")
    print(f"weights  {run.weights}")
    print(f"metrics  {run.metrics}")
    for line in mirror.lines() if (mirror := wandb_place(run.path)) else ():
        print(line)
    checkpoint = shlex.quote(f"checkpoint={run.path}")
    for label, following in (("next", f"sample {checkpoint}"), ("", f"evaluate {checkpoint}")):
        print(f"{label:8} {command(following)}")
    if again := another_seed(words):
        print(f"{'':8} {again}")
    print(run.path)


def _lines(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{label:10} {text}" for label, text in rows)


def _devices(trainer: Any) -> str:
    """The devices, of all processes."""
    count, device = trainer.world_size, trainer.strategy.root_device
    if device.type == "cuda":
        return f"{count} x {torch.cuda.get_device_name(device)}" if count > 1 else torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{device.type}, {count} process{'es' if count > 1 else ''}"
    threads = torch.get_num_threads()
    each = " each" if count > 1 else ""
    return f"CPU, {count} process{'es' if count > 1 else ''} with {threads} thread{'s' if threads > 1 else ''}{each}"


def _average(name: str, averaging: Averaging, steps: int) -> str:
    share = initial_share(averaging, steps)
    return f"{name} (holds {100 * share:.0f} % of the initial weights at the end)" if share >= YOUNG else name


def _rate(optimizer: Mapping[str, Any]) -> str:
    """The learning rate, where there is one for all weights."""
    return f", learning rate {optimizer['lr']:g}" if optimizer.get("lr") is not None else ""


def _name(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rsplit(".", 1)[-1]
