"""Consistency models (arXiv 2303.01469): what the model says at one noise level is what a slow average of it says at the next."""

from __future__ import annotations

import torch

from difflab.denoiser import Denoiser
from difflab.ema import Average
from difflab.noisy_model import DenoisingModel
from difflab.objectives import Objective
from difflab.process import eps_from_x0, perturb
from difflab.schedules import time_of
from difflab.types import Losses


class Consistency(Objective[Denoiser]):
    """|f(x_t, t) - f_target(x_s, s)|^2 for neighbours s < t of a grid (Song et al. 2023, algorithms 2 and 3).

    With a teacher x_s is its Euler step from x_t (distillation); without one it has the noise of x_t (training).

    Args:
        target: Name of the average of the model that is the target.
        steps: Noise levels of the grid, spaced as EDM's.
        teacher: A trained denoiser.
    """

    def __init__(self, target: str, steps: int = 18, teacher: DenoisingModel | None = None):
        self.target = Average(target)
        self.steps = steps
        if teacher is not None:
            self.models = {"teacher": teacher}

    def levels(self) -> torch.Tensor:
        share = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        return (0.01 ** (1 / 7) + share * (20 ** (1 / 7) - 0.01 ** (1 / 7))) ** 7

    def __call__(self, denoiser, x_0, cond, noise):
        schedule, levels = denoiser.schedule, self.levels().to(x_0.device)
        i = (noise.uniform("level") * (self.steps - 1)).long()
        s, t = time_of(schedule, levels[i]), time_of(schedule, levels[i + 1])
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        x_t, at_s = perturb(x_0, eps, schedule(t)), schedule(s)
        with torch.no_grad():
            if self.models:
                seen = self.models["teacher"](x_t, t, cond).x0
                x_s = perturb(seen, eps_from_x0(x_t, seen, schedule(t)), at_s)
            else:
                x_s = perturb(x_0, eps, at_s)
        wanted = self.target(x_s, s, cond).x0
        loss = ((denoiser(x_t, t, cond).x0 - wanted) ** 2).flatten(1).mean(1)
        return Losses(loss, t, {"loss": loss})

    def check(self, denoiser: Denoiser) -> None:
        c = denoiser.coefficients(torch.full((1,), 1e-6, dtype=torch.float64))[1]
        if abs(float(c.c_skip) - 1) > 0.1:
            raise ValueError(
                "a consistency model is the image itself where there is no noise: use parameterization=edm"
            )
