"""Minibatch optimal transport (arXiv 2302.00482, 2304.14772): noise goes to the image that is near it."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment

from difflab.denoiser import Denoiser
from difflab.objectives import Objective
from difflab.objectives.time_samplers import TimeSampler
from difflab.process import perturb
from difflab.types import Losses


class Transport(Objective[Denoiser]):
    """|F - target|^2, where the noises of a batch are assigned to its images at the least sum of squared distances.

    Args:
        time_sampler: How t is drawn.
    """

    couples_images = True

    def __init__(self, time_sampler: TimeSampler):
        self.time_sampler = time_sampler

    def __call__(self, denoiser, x_0, cond, noise):
        t, importance = self.time_sampler(noise, denoiser.schedule)
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        distance = torch.cdist(x_0.flatten(1).double(), eps.flatten(1).double()) ** 2
        _, assigned = linear_sum_assignment(distance.cpu().numpy())
        eps = eps[torch.from_numpy(assigned).to(eps.device)]
        raw = denoiser.raw(perturb(x_0, eps, denoiser.schedule(t)), t, cond)
        loss = ((raw.F - raw.target(x_0, eps)) ** 2).flatten(1).mean(1)
        return Losses(importance.to(loss) * loss, t, {"loss": loss})

    def check(self, denoiser: Denoiser) -> None:
        self.time_sampler.check(denoiser.schedule)
