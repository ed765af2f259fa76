"""Reflow: straighter flows from the pairs of another one."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.noisy_model import DenoisingModel
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.simple import Simple
from difflab.objectives.time_samplers import TimeSampler
from difflab.objectives.weightings import Weighting
from difflab.samplers import Sampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Losses


class Reflow(Objective[Denoiser], SquaredError):
    """w(snr_t) |F - target|^2 between noise and the image to which a teacher's flow leads from it (Liu et al. 2023, algorithm 1).

    Paths between such pairs hardly cross, so the student's trajectories are straighter than the teacher's, and a few steps follow them; one
    that begins as its teacher (`init_from`) learns fastest. The pair of a training image is drawn in the step that needs it: its noise and
    the way down are functions of (seed, image number, condition), so nothing has to be stored and every process, or a resumed run, draws
    the same. The images of the data are not looked at; their conditions are. It costs as many forward passes as the sampler takes, without
    gradients, a third of a training step each: ten steps of Euler's method make a step about four times as long.

    Args:
        time_sampler: How t is drawn.
        weighting: w.
        teacher: A trained denoiser of the same schedule.
        sampler: How the teacher is followed; one that adds no noise, such as Euler or Heun along time.

    Attributes:
        models: The teacher.
    """

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting, teacher: DenoisingModel, sampler: Sampler):
        self.time_sampler = time_sampler
        self.simple = Simple(time_sampler, weighting)
        self.teacher = teacher
        self.models = {"teacher": teacher}
        self.sampler = sampler

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        eps = self.sampler.initial_noise(denoiser.schedule, tuple(x_0.shape[1:]), noise).to(x_0)
        reached = self.sampler(self.teacher, denoiser.schedule, eps, cond, noise).to(x_0)
        return self.simple.between(denoiser, reached, eps, cond, noise)

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.simple.x0_weight(schedule, t, c_out)

    def check(self, denoiser: Denoiser) -> None:
        self.simple.check(denoiser)
        own, teacher = denoiser.schedule, self.teacher
        if denoiser.image_shape != teacher.image_shape:
            raise ValueError(
                f"the teacher of reflow draws {list(teacher.image_shape)}, and the model is of {list(denoiser.image_shape)}: choose "
                "objective.teacher.checkpoint of the same data"
            )
        if not same(own, teacher.schedule):
            raise ValueError(
                f"the teacher of reflow was trained with another schedule ({type(teacher.schedule).__name__}) than the model has "
                f"({type(own).__name__}): choose the teacher's schedule, or another objective.teacher.checkpoint"
            )
        if float(own(torch.ones(1, dtype=torch.float64)).alpha) != 0:
            raise ValueError(
                f"reflow pairs noise with images, and {type(own).__name__} leaves some signal at t = 1, where its walks begin: use "
                "schedule=linear_path or cosine_path"
            )
        self.sampler.check(own)


def same(a: NoiseSchedule, b: NoiseSchedule) -> bool:
    """Whether two schedules have the same alpha and sigma everywhere."""
    t = torch.linspace(0, 1, 257, dtype=torch.float64)
    return a.steps == b.steps and all(
        torch.allclose(x, y, rtol=1e-9, atol=1e-12) for x, y in zip(a(t), b(t), strict=True)
    )
