"""What a model of points does, as one picture: the cloud forward, the cloud back, and the score field between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.evaluation.callback import CheckedCallback
from difflab.files import atomic_file
from difflab.noise import ImageNoise
from difflab.pictures import panels, plane, reach_of
from difflab.process import over, perturb
from difflab.training import DiffusionModule
from difflab.types import Condition

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Columns of the picture."""

ARROWS = 17
"""Along each axis of a score field."""


class CloudsCallback(CheckedCallback):
    """After every evaluation: samples/clouds_<step>.png of the first track, for a model of points in the plane.

    The upper row is x_t of the data at five times, the middle one x_t on the way back from noise, the lower one the score,
    (alpha E[x_0 | x_t] - x_t) / sigma^2, as arrows whose length is relative to the longest (Sohl-Dickstein et al. 2015, figure 1).

    Args:
        points: How many are drawn.
    """

    def __init__(self, points: int = 2000):
        if points < 1:
            raise ValueError(f"callbacks.clouds.points={points} must be at least 1")
        self.points = points

    def check(self, pl_module: Any) -> None:
        shape = pl_module.denoiser.image_shape if isinstance(pl_module, DiffusionModule) else None
        if shape != (2,):
            raise ValueError(
                f"callbacks=clouds draws points of the plane, and this model is of {shape or 'no points'}: choose callbacks=none"
            )
        try:  # the score field is that of all classes together
            with torch.no_grad():
                pl_module.denoiser(torch.zeros(1, 2), torch.full((1,), 0.5, dtype=torch.float64), Condition())
        except ValueError as error:
            raise ValueError(f"callbacks=clouds asks the model without a condition, and {error}") from error

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        track = pl_module.ema.tracks.names[0]
        with pl_module.ema.applied_to(pl_module.model, track), torch.no_grad():
            forward, back, field = self._clouds(pl_module, data)
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir) / "samples"
            draw_clouds(folder / f"clouds_{trainer.global_step:08d}.png", forward, back, field)

    def _clouds(self, module: Any, data: ImageData) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """x_t forward and back, [N, 2] at each of the times, and the arrows [ARROWS^2, 4]: where they begin, and the score."""
        denoiser, device = module.denoiser, module.device
        count = min(self.points, len(data.dataset))
        numbers = torch.arange(count, device=device)
        noise = ImageNoise(0, numbers)
        x_0 = data.dataset.images(range(count)).to(device)
        forward = [perturb(x_0, noise.normal("eps", (2,)).to(x_0), denoiser.schedule(_all(t, x_0))) for t in TIMES]
        cond = data.dataset.condition(range(count)).to(device) if module.num_classes else Condition()
        denoise = module.guidance.wrap_denoiser(denoiser)
        x_T = module.sampler.initial_noise(denoiser.schedule, (2,), noise).to(x_0)
        steps = list(module.sampler.trajectory(denoise, denoiser.schedule, x_T, cond.kept(), noise))
        reached = [*(step.t for step in steps[1:]), 0.0]
        visited = [(steps[0].t, x_T), *((t, step.x_s) for t, step in zip(reached, steps, strict=True))]
        back = [min(visited, key=lambda one: abs(one[0] - t))[1] for t in TIMES]
        return (
            forward,
            back,
            [self._arrows(denoiser, max(t, 0.05), cloud) for t, cloud in zip(TIMES, forward, strict=True)],
        )

    def _arrows(self, denoiser: Any, t: float, cloud: Tensor) -> Tensor:
        line = torch.linspace(-1, 1, ARROWS, device=cloud.device) * reach_of(cloud)
        places = torch.cartesian_prod(line, line)
        alpha, sigma = denoiser.schedule(time := _all(t, places))
        x_0 = denoiser(places, time, Condition()).x0
        return torch.cat([places, (over(alpha, places) * x_0 - places) / over(sigma, places) ** 2], dim=1)


def _all(t: float, like: Tensor) -> Tensor:
    return torch.full((len(like),), t, dtype=torch.float64, device=like.device)


def draw_clouds(path: Path, forward: list[Tensor], back: list[Tensor], field: list[Tensor]) -> None:
    """Writes the picture.

    Args:
        path: Of the PNG.
        forward: x_t of data, [N, 2] for each column.
        back: The same of samples.
        field: Arrows [M, 4].
    """
    reaches = [reach_of(cloud) for cloud in forward]
    rows = [
        [plane(cloud, reach) for cloud, reach in zip(forward, reaches, strict=True)],
        [plane(cloud, reach) for cloud, reach in zip(back, reaches, strict=True)],
        [plane(one[:0, :2], reach, one) for one, reach in zip(field, reaches, strict=True)],
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = panels(rows, [f"t = {t:g}" for t in TIMES], ["data, forward", "samples, back", "score"])
    with atomic_file(path) as aside:
        picture.save(aside, format="png")
