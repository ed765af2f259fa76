"""From images up to x_T and back again: how much the walk loses with how many steps (Song et al. 2021, DDIM, table 2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.explaining.drawing import axes_for, png_of
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise
from difflab.pictures import COLOUR_BLIND_SAFE
from difflab.samplers import DDIM
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn

STEPS, IMAGES = (10, 20, 50, 100), 64


class Error(NamedTuple):
    """Mean over the images, and its standard error."""

    mean: float
    std_error: float


class RoundTrip(Look):
    """Encoded and decoded by one and the same chain, within the guidance's bounds on x_0 and without what else guides."""

    name, title = "round_trip", "Up to x_T and back"

    def suits(self, subject: Subject) -> str:
        if reason := subject.no_walk or subject.no_data:
            return reason
        steps = subject.schedule.steps
        return f"its schedule has {steps} steps, below {min(STEPS)}" if steps is not None and steps < min(STEPS) else ""

    def __call__(self, subject: Subject) -> Finding:
        x_0, cond = subject.real(IMAGES)
        most = subject.schedule.steps or max(STEPS)
        # a range of 2 in [-1, 1] is one of 1 in [0, 1]
        scale = 2.0 if subject.space.holds_pixels else 1.0
        errors = {
            steps: _mean(round_trip(subject.ddim(steps), subject.bounded(), subject.schedule, x_0, cond) / scale**2)
            for steps in STEPS
            if steps <= most
        }
        unit = "on the scale from 0 to 1" if subject.space.holds_pixels else "in the data's own unit"
        text = [
            f"{len(x_0)} {subject.origin} are walked up to x_T by DDIM's equation without noise, and down again "
            "by the same chain, within the bounds on x_0 that its guidance sets and without what else guides "
            "(Song et al. 2021, arXiv 2010.02502, section 5.4 and table 2). The error is the "
            f"squared difference per dimension {unit}, "
            "mean over the images, with its standard error over other images. With ever finer steps both ways "
            "solve one equation, and nothing is lost."
        ]
        rows = [(f"{steps:,}", f"{error.mean:.2g}", f"{error.std_error:.1g}") for steps, error in errors.items()]
        picture = Picture(
            "round_trip",
            _curve(errors, unit),
            "squared error against the number of steps: " + ", ".join(f"{row[0]} steps {row[1]}" for row in rows),
            "Both axes are logarithmic; bars are 1.96 standard errors.",
        )
        return Finding(text, [picture], ("steps", "squared error per dimension", "standard error"), rows)


@torch.no_grad()
def round_trip(sampler: DDIM, denoise: DenoiseFn, schedule: NoiseSchedule, x_0: Tensor, cond: Condition) -> Tensor:
    """Squared difference per dimension of each image, [B], in the units of x_0."""
    x_T = sampler.encode(denoise, schedule, x_0, cond)
    back = sampler(denoise, schedule, x_T, cond, ImageNoise(0, torch.arange(len(x_0), device=x_0.device)))
    return (back - x_0).square().flatten(1).mean(1).double()


def _mean(errors: Tensor) -> Error:
    return Error(errors.mean().item(), errors.std().item() / math.sqrt(len(errors)) if len(errors) > 1 else math.nan)


def _curve(errors: dict[int, Error], unit: str) -> bytes:
    figure, axes = axes_for(6.4, 3.6)
    means = [error.mean for error in errors.values()]
    reach = [[min(1.96 * error.std_error, 0.95 * error.mean) for error in errors.values()]]
    reach.append([1.96 * error.std_error for error in errors.values()])
    axes.errorbar(list(errors), means, yerr=reach, fmt="o-", color=COLOUR_BLIND_SAFE[0], capsize=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(errors), [str(steps) for steps in errors])
    axes.minorticks_off()
    axes.set_xlabel("steps up, and as many down")
    axes.set_ylabel("squared error per dimension")
    axes.set_title(f"Encoded and decoded, {unit}", fontsize=10)
    return png_of(figure)
