"""Callbacks that evaluate the averaged weights while a model trains."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.fit_loop import _FitLoop
from torch import Tensor
from torchvision.utils import save_image

from difflab.distributed.group import sum_over_processes
from difflab.ema import ONLINE, youth
from difflab.evaluation.evaluator import Evaluator
from difflab.features import to_uint8
from difflab.features.quantization import finite
from difflab.files import atomic_file
from difflab.formatting import aligned, clock
from difflab.metrics import MetricInfo, at_count
from difflab.runs.directory import strip_file
from difflab.runs.saved_checkpoints import EVALUATED_STEP
from difflab.runtime.progress import reporting
from difflab.samplers import Moments, Onlooker, Recorder, shares
from difflab.sampling import Conditions
from difflab.sampling.strips import strip, tiles
from difflab.spaces import Space

STRIP_IMAGES, STRIP_MOMENTS = 4, 8
"""How many images, or a cloud of points, a run's strip shows, and at how many moments of their way from noise."""


class CheckedCallback(pl.Callback, ABC):
    """A callback that is asked before any work whether it suits the module, so that what it refuses is one line and no lost run."""

    @abstractmethod
    def check(self, pl_module: Any) -> None:
        """Raises a ValueError if it cannot be used with this module."""

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        self.check(pl_module)


class TrackEvaluation(CheckedCallback):
    """At every validation, and once at the end: evaluates the weights of each EMA track, and logs eval/<track>/<label>.

    Args:
        tracks: Which weights; none means the online ones.

    Attributes:
        evaluated_step: After how many optimizer steps it evaluated last; -1 if it never did.
    """

    def __init__(self, tracks: Sequence[str]):
        self.tracks = list(tracks) or [ONLINE]
        self.evaluated_step = -1

    @abstractmethod
    def scores(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        """Label -> number, for the weights that the model has now, which are those of `track`. All processes take part."""

    @abstractmethod
    def check_model(self, pl_module: Any) -> None:
        """Raises a ValueError if the model of this module cannot be evaluated so."""

    def check(self, pl_module: Any) -> None:
        """Raises a ValueError if a track is not among those that there are, or if the model cannot be evaluated."""
        self.check_model(pl_module)
        names = pl_module.ema.tracks.names
        for track in self.tracks:
            if track not in names:
                raise ValueError(f"eval.tracks names {track!r}, but there are only {', '.join(names)} to evaluate")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True  # Lightning then validates once more, whatever the interval

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.global_step == trainer.max_steps and self.evaluated_step != trainer.global_step:
            # training began at its last step, which was not evaluated, or in another way
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def state_dict(self) -> dict[str, Any]:
        return {EVALUATED_STEP: self.evaluated_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.evaluated_step = state_dict[EVALUATED_STEP]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        for track in self.tracks:
            with pl_module.ema.applied_to(pl_module.model, track):
                results = self.scores(trainer, pl_module, track)
            scores = {f"eval/{track}/{label}": value for label, value in results.items()}
            if not scores:
                continue
            pl_module.log_dict(scores, logger=False)  # for those who watch a metric
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=trainer.global_step)
        self.evaluated_step = trainer.global_step


class EvaluatedFitLoop(_FitLoop):
    """Lightning's loop does nothing at all where training begins at its last step. This one evaluates the weights then, if they were not.

    Args:
        loop: That of the Trainer.
        evaluation: The callback that evaluates them.
    """

    def __init__(self, loop: _FitLoop, evaluation: TrackEvaluation):
        super().__init__(loop.trainer, loop.min_epochs, loop.max_epochs)
        self.epoch_loop = loop.epoch_loop
        self.evaluation = evaluation

    @property
    def skip(self) -> bool:
        return super().skip and self.evaluation.evaluated_step == self.epoch_loop.global_step


class NoEvaluation(TrackEvaluation):
    """Evaluates nothing: of data that cannot be drawn as pictures the losses are all there is."""

    def scores(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        return {}

    def check_model(self, pl_module: Any) -> None:
        pass


class EvaluationCallback(TrackEvaluation):
    """At every validation: N images for each EMA track, from the seeds 0 ..

    N - 1, split over all processes; their metrics are logged as eval/<track>/<metric>@<N>, the first images are written as a grid.

    Args:
        evaluator: What is measured, of how many images.
        tracks: Which weights; none means the online ones.
        batch_size: Images that a process draws at a time.
        grid_images: How many images the grid shows.
        directory: Where grids go, <track>_<step>.png; and at the run's end a strip of the first images' walk, trajectory_<step>.png.
        conditions: What the images are drawn for, by seed.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        tracks: Sequence[str],
        batch_size: int,
        grid_images: int,
        directory: str | Path,
        conditions: Conditions,
    ):
        super().__init__(tracks)
        if batch_size < 1 or grid_images < 1:
            raise ValueError(f"eval.batch_size={batch_size} and eval.grid={grid_images} must be at least 1")
        self.evaluator = evaluator
        self.batch_size = batch_size
        self.grid_images = min(grid_images, evaluator.num_images)
        self.directory = Path(directory)
        self.conditions = conditions

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.evaluator.to(pl_module.device)

    def check_model(self, pl_module: Any) -> None:
        """Raises a ValueError if the module's guidance cannot guide its model, or images for such conditions."""
        pl_module.guidance.check_model(pl_module.model, pl_module.num_classes)
        first, dropout = torch.zeros(1, dtype=torch.int64), pl_module.objective.dropout
        pl_module.guidance.check_condition(pl_module.model, lambda: self.conditions(first), dropout)

    def scores(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        recorder = self._onlooker(trainer, pl_module, track)
        with reporting(f"evaluation of {track}", self.evaluator.num_images) as task:
            results, first = self.evaluate(trainer, pl_module, task.advance, recorder)
        if trainer.is_global_zero:
            self._write_grid(trainer, pl_module.space, track, first)
        if recorder is not None and recorder.is_done:  # a module that draws in a way of its own may show nothing
            self._write_strip(trainer, pl_module, recorder.moments)
        return {at_count(name, self.evaluator.num_images): value for name, value in results.items()}

    @torch.no_grad()
    def evaluate(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        progress: Callable[[int], None] = lambda done: None,
        onlooker: Onlooker | None = None,
    ) -> tuple[dict[str, float], Tensor]:
        """Metrics of the weights that the denoiser has now, and the first `grid_images` images, as they are stored.

        All processes take part.

        Args:
            trainer: Lightning's.
            pl_module: Draws the images.
            progress: Called with the images that are done, after every batch; all processes are taken to be as far as this.
            onlooker: Is shown the walk of this process's first batch.
        """
        first, done = None, 0
        self.evaluator.reset()
        with trainer.precision_plugin.val_step_context():
            for seeds in shares(self.evaluator.num_images, self.batch_size, trainer.global_rank, trainer.world_size):
                there = seeds.to(pl_module.device)
                looks_on = {} if first is not None or onlooker is None else {"onlooker": onlooker}
                drawn = pl_module.sample(there, self.conditions(there), **looks_on)
                images = to_uint8(drawn) if pl_module.space.holds_pixels else finite(drawn)
                if first is None:  # every process draws at least one batch
                    summable = torch.int32 if pl_module.space.holds_pixels else torch.float32
                    first = images.new_zeros(self.grid_images, *images.shape[1:], dtype=summable)
                shown = seeds < self.grid_images
                first[seeds[shown].to(first.device)] = images[shown.to(images.device)].to(first.dtype)
                self.evaluator.update(images, seeds)
                done += len(seeds) * trainer.world_size
                progress(min(done, self.evaluator.num_images))
        assert first is not None
        (first,) = sum_over_processes([first])  # each image comes from one process
        return self.evaluator.compute(), first if first.is_floating_point() else first.to(torch.uint8)

    def _onlooker(self, trainer: pl.Trainer, pl_module: Any, track: str) -> Recorder | None:
        """What looks on at the last evaluation of a run while the first process draws its first images, which it draws anyhow."""
        last = trainer.is_global_zero and trainer.global_step == trainer.max_steps and track == self.tracks[0]
        if not last or not pl_module.sampler.wanders(pl_module.model.schedule):
            return None
        count = min(max(STRIP_IMAGES, pl_module.space.crowd), self.batch_size, self.evaluator.num_images)
        return Recorder(count, 2 * STRIP_MOMENTS)

    def _write_strip(self, trainer: pl.Trainer, pl_module: Any, moments: Moments) -> None:
        schedule, space = pl_module.model.schedule, pl_module.space
        names = [f"seed {seed}" for seed in range(moments.x_t.shape[1])]
        picture = strip(tiles(moments.spread(STRIP_MOMENTS), schedule, space, names))
        with atomic_file(strip_file(self.directory, trainer.global_step)) as aside:
            picture.save(aside, format="png")

    def _write_grid(self, trainer: pl.Trainer, space: Space, track: str, images: Tensor) -> None:
        shown = self.conditions.shown(images.cpu(), torch.arange(len(images)))
        grid = space.picture(shown, self.conditions.columns)
        path = self.directory / f"{track}_{trainer.global_step:08d}.png"
        with atomic_file(path) as aside:
            save_image(grid, aside, format="png")


def scores_table(scores: Mapping[str, float], infos: Mapping[str, MetricInfo]) -> str:
    """Metrics below each other, EMA names beside each other.

    Args:
        scores: eval/<track>/<label> -> value.
        infos: Label -> what kind of number it is, of those of which that is known.
    """
    found = {tuple(name.split("/", 2)[1:]): value for name, value in scores.items()}
    tracks = list(dict.fromkeys(track for track, _ in found))
    rows = [("metric", *tracks, "better")]
    for label in dict.fromkeys(label for _, label in found):
        values = (f"{found[track, label]:.4g}" if (track, label) in found else "" for track in tracks)
        rows.append((label, *values, infos[label].direction if label in infos else ""))
    return "\n".join(f"  {line}" for line in aligned(rows).splitlines())


class ScoresCallback(pl.Callback):
    """A small table after every evaluation, of what the other callbacks have logged as eval/<track>/<label>.

    Args:
        infos: Label -> what kind of number it is.
        measured: What is measured against what; "" for nothing.
    """

    def __init__(self, infos: Mapping[str, MetricInfo], measured: str):
        self._infos = dict(infos)
        self._measured = measured
        self._noted = set[str]()
        self._began = 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._began = time.monotonic()
        if trainer.is_global_zero and self._measured:
            print(f"step {trainer.global_step}: evaluation, {self._measured}", flush=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("eval/")}
        if not trainer.is_global_zero or not scores:
            return
        print(f"step {trainer.global_step}: scores, after {clock(time.monotonic() - self._began)}")
        print(scores_table(scores, self._infos), flush=True)
        for name, averaging in pl_module.ema.tracks.averagings.items():
            young = youth(name, averaging, trainer.global_step)
            if young and name not in self._noted and any(score.startswith(f"eval/{name}/") for score in scores):
                self._noted.add(name)
                print(f"note: {young}", flush=True)
