"""Progressive distillation (arXiv 2202.00512): one DDIM step of the student is two of its teacher, as which it begins."""

from __future__ import annotations

import torch

from difflab.denoiser import Denoiser
from difflab.noisy_model import DenoisingModel
from difflab.objectives import Objective
from difflab.process import eps_from_x0, over, perturb
from difflab.types import Losses


class ProgressiveDistillation(Objective[Denoiser]):
    """The x_0 with which one step from t leads where the teacher's two steps lead (Salimans and Ho 2022, algorithm 2).

    Args:
        teacher: A trained denoiser with the same schedule.
        steps: Of the student; the teacher has twice as many.
    """

    def __init__(self, teacher: DenoisingModel, steps: int):
        self.models = {"teacher": teacher}
        self.steps = steps

    def __call__(self, denoiser, x_0, cond, noise):
        schedule, i = denoiser.schedule, torch.floor(noise.uniform("step") * self.steps) + 1
        t, between, s = i / self.steps, (i - 0.5) / self.steps, (i - 1) / self.steps
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        x_t = perturb(x_0, eps, schedule(t))
        with torch.no_grad():
            x = x_t
            for here, there in ((t, between), (between, s)):
                seen = self.models["teacher"](x, here, cond).x0
                x = perturb(seen, eps_from_x0(x, seen, schedule(here)), schedule(there))
            ratio = schedule(s).sigma / schedule(t).sigma
            scale = schedule(s).alpha - ratio * schedule(t).alpha
            wanted = (x - over(ratio, x) * x_t) / over(scale, x)
        weight = (schedule(t).alpha ** 2 / schedule(t).sigma ** 2).clamp(min=1).to(x_0)
        loss = weight * ((denoiser(x_t, t, cond).x0 - wanted) ** 2).flatten(1).mean(1)
        return Losses(loss, t, {"loss": loss})

    def check(self, denoiser: Denoiser) -> None:
        if denoiser.schedule.steps is None or denoiser.schedule.steps % (2 * self.steps):
            raise ValueError(f"{2 * self.steps} steps of the teacher must divide those of the schedule")
