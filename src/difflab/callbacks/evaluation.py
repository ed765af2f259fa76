"""The watcher that draws samples and scores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.utils import save_image

from difflab.callbacks.sample_grid import grid_of
from difflab.callbacks.track_evaluation import TrackEvaluation
from difflab.collective import sum_over_processes
from difflab.conditioning import Conditions
from difflab.files import atomic_file
from difflab.metrics import EnlargementMetrics, ImageMetrics, to_uint8
from difflab.progress import reporting
from difflab.samplers import shares


class EvaluationCallback(TrackEvaluation):
    """At every validation: N images for each EMA track, from the seeds 0 .. N - 1, split over all processes; their metrics are logged
    as eval/<track>/<metric>@<N>, the first images are written as a grid.

    metrics       what is measured, of how many images
    tracks        which weights; none means the online ones
    batch_size    images that a process draws at a time
    grid_images   how many images the grid shows
    directory     where grids go: <track>_<step>.png
    conditions    what the images are drawn for, by seed
    """

    def __init__(
        self,
        metrics: ImageMetrics | EnlargementMetrics,
        tracks: Sequence[str],
        batch_size: int,
        grid_images: int,
        directory: str | Path,
        conditions: Conditions,
    ):
        super().__init__(tracks)
        if batch_size < 1 or grid_images < 1:
            raise ValueError(f"eval.batch_size={batch_size} and eval.grid={grid_images} must be at least 1")
        self.metrics = metrics
        self.batch_size = batch_size
        self.grid_images = min(grid_images, metrics.num_images)
        self.directory = Path(directory)
        self.conditions = conditions

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.metrics.to(pl_module.device)

    def check_model(self, pl_module: Any) -> None:
        """Raises a ValueError if the module's guidance cannot guide its model, or images for such conditions."""
        pl_module.guidance.check_model(pl_module.model, pl_module.num_classes)
        pl_module.guidance.check_condition(pl_module.model, lambda: self.conditions(torch.zeros(1, dtype=torch.int64)))

    def judge(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        with reporting(f"evaluation of {track}", self.metrics.num_images) as task:
            results, first = self.evaluate(trainer, pl_module, task.advance)
        if trainer.is_global_zero:
            self._write_grid(trainer, track, first)
        return {self.metrics.label(name): value for name, value in results.items()}

    @torch.no_grad()
    def evaluate(
        self, trainer: pl.Trainer, pl_module: Any, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[dict[str, float], Tensor]:
        """Metrics of the weights that the denoiser has now, and the first `grid_images` images, uint8. All processes take part.

        Args:
            trainer: Lightning's.
            pl_module: Draws the images.
            progress: Called with the images that are done, after every batch; all processes are taken to be as far as this.
        """
        first, done = None, 0
        self.metrics.reset()
        with trainer.precision_plugin.val_step_context():
            for seeds in shares(self.metrics.num_images, self.batch_size, trainer.global_rank, trainer.world_size):
                there = seeds.to(pl_module.device)
                images = to_uint8(pl_module.sample(there, self.conditions(there)))
                if first is None:  # every process draws at least one batch
                    first = images.new_zeros(self.grid_images, *images.shape[1:], dtype=torch.int32)
                shown = seeds < self.grid_images
                first[seeds[shown].to(first.device)] = images[shown.to(images.device)].int()
                self.metrics.update(images, seeds)
                done += len(seeds) * trainer.world_size
                progress(min(done, self.metrics.num_images))
        assert first is not None
        return self.metrics.compute(), sum_over_processes([first])[0].to(
            torch.uint8
        )  # each image comes from one process

    def _write_grid(self, trainer: pl.Trainer, track: str, images: Tensor) -> None:
        shown = self.conditions.shown(images.cpu(), torch.arange(len(images)))
        grid = grid_of(shown, self.conditions.columns)
        path = self.directory / f"{track}_{trainer.global_step:08d}.png"
        with atomic_file(path) as aside:
            save_image(grid, aside, format="png")
