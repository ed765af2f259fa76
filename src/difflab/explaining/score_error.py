"""How far the learned score is from the exact one, over time: of data whose distribution is known."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.explaining.drawing import axes_for, png_of
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise
from difflab.pictures import COLOUR_BLIND_SAFE
from difflab.process import perturb, score_from_x0
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn

IMAGES, TIMES = 256, 16


class ScoreError(Look):
    """E |score - exact|^2 / E |exact|^2 of x_t."""

    name, title = "score_error", "Error of the score"

    def suits(self, subject: Subject) -> str:
        if reason := subject.no_walk or subject.no_data:
            return reason
        return "" if subject.trained.distribution is not None else "the distribution of its data is not known exactly"

    def __call__(self, subject: Subject) -> Finding:
        mixture = subject.trained.distribution
        assert mixture is not None, "see `suits`"
        x_0, cond = subject.real(IMAGES)
        times = times_of_interest(subject.schedule)
        errors = relative_errors(
            subject.denoiser, mixture.denoiser(subject.schedule), subject.schedule, x_0, cond, times
        )
        worst = int(errors.argmax())
        text = [
            f"{len(x_0)} {subject.origin} are noised, and the model's score is compared with that of the mixture "
            f"of Gaussians that they are drawn from, "
            "which is known in closed form: E |score - exact|^2 / E |exact|^2. 0 is a perfect model, 1 one that "
            "says nothing. Here it is between "
            f"{errors.min():.2g} and {errors.max():.2g}, the largest at t = {times[worst]:.2f}."
        ]
        says = f"relative squared error of the score over t, from {errors.min():.2g} to {errors.max():.2g}"
        return Finding(text, [Picture("score_error", _curve(times, errors), says, "The vertical axis is logarithmic.")])


def times_of_interest(schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
    """Times at equal distances; of a discrete schedule its own that are nearest to them."""
    times = torch.linspace(0.02, 0.98, TIMES, dtype=torch.float64)  # at t = 1 any score is that of noise
    return times if schedule.steps is None else (times * schedule.steps).round().clamp(min=1).unique() / schedule.steps


@torch.no_grad()
def relative_errors(
    denoise: DenoiseFn, exact: DenoiseFn, schedule: NoiseSchedule, x_0: Tensor, cond: Condition, times: Tensor
) -> Float64[Tensor, " n"]:
    """E |score - exact|^2 / E |exact|^2 over x_t of these images at each time."""
    noise, found = ImageNoise(0, torch.arange(len(x_0), device=x_0.device)), []
    for step, t in enumerate(times.tolist()):
        time = torch.full((len(x_0),), t, dtype=torch.float64, device=x_0.device)
        level = schedule(time)
        x_t = perturb(x_0, noise.normal("score error", tuple(x_0.shape[1:]), step).to(x_0), level)
        learned, true = (score_from_x0(x_t, one(x_t, time, cond).x0, level).double() for one in (denoise, exact))
        found.append(((learned - true).square().sum() / true.square().sum()).cpu())
    return torch.stack(found)


def _curve(times: Tensor, errors: Tensor) -> bytes:
    figure, axes = axes_for(6.4, 3.4)
    axes.plot(times.tolist(), errors.tolist(), "o-", color=COLOUR_BLIND_SAFE[0])
    axes.set_yscale("log")
    axes.set_xlabel("t (1 is noise)")
    axes.set_ylabel("relative squared error")
    axes.set_title("Learned score against the exact one", fontsize=10)
    return png_of(figure)
