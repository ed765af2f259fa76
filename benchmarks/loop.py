"""What difflab's training loop costs beside a bare one: the loop itself, averages of the weights, the log, checkpoints.

The loop is Lightning's with all watchers that `python train.py` gives it. Its steps are timed from the beginning of one to that of
the next, so that nothing is left out but evaluations. A network of a few milliseconds shows what a step costs besides the network, one
of a third of a second what share that is where one would notice.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from pytorch_lightning import Trainer

from benchmarks.bare_loop import OwnLoss, PlainTorch
from benchmarks.contest import take_turns
from benchmarks.lightning_loop import DifflabLoop, LightningAlone
from benchmarks.loop_task import TINY, TRACKS, WIDTH_64, Task
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings

SHARE, EMA_SHARE = 1.02, 0.03
"""Goals: of the loop over a bare one, and of three averages in a step."""

LOG_EVERY = 50
LINES = 20
"""Of the log, for a checkpoint."""


def measure(settings: Settings) -> Iterator[Measurement]:
    yield whole_step(settings, TINY if settings.quick else WIDTH_64)
    yield small_step(settings)
    yield averages(settings, TINY if settings.quick else WIDTH_64)
    yield checkpoints(settings, TINY if settings.quick else WIDTH_64)
    yield mirror(settings)


def whole_step(settings: Settings, task: Task) -> Measurement:
    """A line of the log comes in every turn, hence ten times as often as by default."""
    steps = 2 if settings.quick else 5
    device, folder = settings.device, settings.scratch / "whole"
    contenders = {
        "bare loop": partial(PlainTorch(task, task.module(), device), steps),
        "bare loop, difflab's loss": partial(OwnLoss(task, task.module(), device), steps),
        "difflab": partial(DifflabLoop(task, task.module(), device, folder, steps), steps),
        "difflab, 3 averages": partial(DifflabLoop(task, task.module(3), device, folder, steps), steps),
    }
    return Measurement(
        bench="loop",
        case=f"training step: {task.name}",
        unit="s/step",
        more_is_better=False,
        values=take_turns(contenders, settings.rounds, settings.warm_up),
        baseline="bare loop",
        facts={"bare loop": task.facts()},
        goals=(Goal("difflab", "bare loop", SHARE),),
    )


def small_step(settings: Settings) -> Measurement:
    """Differences between contenders are what a loop costs, in milliseconds per step, whatever the network."""
    steps = 4 if settings.quick else 2 * LOG_EVERY
    device, folder = settings.device, settings.scratch / "small"
    seconds = {
        "bare loop": partial(PlainTorch(TINY, TINY.module(), device), steps),
        "bare loop, difflab's loss": partial(OwnLoss(TINY, TINY.module(), device), steps),
        "Lightning alone": partial(LightningAlone(TINY, TINY.module(), device), steps),
        "difflab": partial(DifflabLoop(TINY, TINY.module(), device, folder, LOG_EVERY), steps),
        "difflab, a line of the log every step": partial(DifflabLoop(TINY, TINY.module(), device, folder, 1), steps),
        "difflab, 3 averages": partial(DifflabLoop(TINY, TINY.module(3), device, folder, LOG_EVERY), steps),
    }
    return Measurement(
        bench="loop",
        case=f"training step: {TINY.name}",
        unit="ms/step",
        more_is_better=False,
        values=take_turns({name: _in_ms(work) for name, work in seconds.items()}, settings.rounds, settings.warm_up),
        baseline="bare loop",
        facts={"bare loop": TINY.facts()},
    )


def averages(settings: Settings, task: Task) -> Measurement:
    """Each update follows a step, after which the weights are where a step leaves them."""
    times = 1 if settings.quick else 4
    loop = PlainTorch(task, task.module(), settings.device)
    contenders: dict[str, Callable[[], float]] = {"a step": lambda: 1e3 * loop(times)}
    for number in TRACKS:
        if number:
            contenders[f"{number} averages" if number > 1 else "1 average"] = _update(task, loop, number, times)
    return Measurement(
        bench="loop",
        case=f"averages of the weights: {task.name}",
        unit="ms",
        more_is_better=False,
        values=take_turns(contenders, settings.rounds, settings.warm_up),
        baseline="a step",
        goals=(Goal("3 averages", "a step", EMA_SHARE),),
    )


def checkpoints(settings: Settings, task: Task) -> Measurement:
    """Weights, two moments, three averages; for how long the steps stand still."""
    folder, module = settings.scratch / "checkpoints", task.module(3)

    def saving(checkpoint_io: str) -> Callable[[], float]:
        loop = DifflabLoop(task, module, settings.device, folder, checkpoint_io=checkpoint_io)
        seconds = [0.0]

        def save(trainer: Trainer) -> None:
            began = time.perf_counter()
            trainer.save_checkpoint(folder / "step-00000002.ckpt", weights_only=False)
            seconds[0] = time.perf_counter() - began

        def turn() -> float:
            loop(1, save)
            return seconds[0]

        return turn

    values = take_turns({name: saving(name) for name in ("atomic", "asynchronous")}, settings.rounds, settings.warm_up)
    size = (folder / "step-00000002.ckpt").stat().st_size
    shutil.rmtree(folder)
    return Measurement(
        bench="loop",
        case=f"a checkpoint: {task.name}",
        unit="s",
        more_is_better=False,
        values=values,
        baseline="atomic",
        facts={"atomic": {"bytes": size}},
    )


def mirror(settings: Settings) -> Measurement:
    """The W&B run is offline, and gets the lines of the log that a checkpoint leaves behind."""
    from difflab.runs import MetricsLog, RunDirectory
    from difflab.runs.wandb.mirror import weights_and_biases

    os.environ["WANDB_SILENT"] = "true"
    run = RunDirectory(settings.scratch / "mirrored")
    run.checkpoints.mkdir(parents=True)
    log = MetricsLog(run.metrics)
    mirrored = weights_and_biases("difflab", None, "offline", run, "benchmark", "benchmark", "benchmark")
    mirrored.log_hyperparams({"seed": 0})
    mirrored.save()
    steps = iter(range(LOG_EVERY, 10**9, LOG_EVERY))

    def turn(work: Callable[[], None]) -> float:
        last = 0
        for _ in range(LINES):
            last = next(steps)
            log.log_metrics({f"train/{number}": 1 / last for number in range(12)}, step=last)
        log.save()
        (run.checkpoints / f"step-{last:08d}.ckpt").touch()
        began = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - began)

    def log_again() -> None:
        """The same lines in a file of their own."""
        other = MetricsLog(run.path / "again.jsonl")
        for line in run.metrics.read_text(encoding="utf-8").splitlines()[-LINES:]:
            row = json.loads(line)
            other.log_metrics(row, step=row["step"])
        other.save()

    contenders = {"metrics.jsonl": partial(turn, log_again), "W&B, offline": partial(turn, mirrored.save)}
    values = take_turns(contenders, settings.rounds, settings.warm_up)
    mirrored.finalize("success")
    return Measurement(
        bench="loop",
        case=f"{LINES} lines of the log, at a checkpoint",
        unit="ms",
        more_is_better=False,
        values=values,
        baseline="metrics.jsonl",
    )


def _update(task: Task, loop: PlainTorch, number: int, times: int) -> Callable[[], float]:
    """Milliseconds of an update, the median of some."""
    tracks = task.module(number).ema.tracks
    tracks.start(loop.module.model)

    def once() -> float:
        loop.step()
        loop.now()
        began = loop.now()
        tracks.update(loop.module.model)
        return 1e3 * (loop.now() - began)

    return lambda: statistics.median(once() for _ in range(times))


def _in_ms(work: Callable[[], float]) -> Callable[[], float]:
    return lambda: 1e3 * work()
