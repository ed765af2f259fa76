"""Bits per dimension of a model on the images of its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from difflab.cli.judge import Judge
from difflab.cli.set_plan import SetPlan
from difflab.collective import rank, world_size
from difflab.guidance import Clip, chained
from difflab.launch import Processes
from difflab.metrics import Measurement, Protocol
from difflab.metrics.bits_per_dim import BitsPerDim, BoundSums
from difflab.metrics.spread import Spread
from difflab.noise import ImageNoise
from difflab.objectives import bound_steps, prior_bits
from difflab.progress import Progress
from difflab.schedules import Chain
from difflab.types import Condition

NOISE_SEED = 0


@dataclass(frozen=True)
class Bound:
    """found   means and every step's terms"""

    found: BitsPerDim
    protocol: Protocol

    @property
    def measurement(self) -> Measurement:
        return self.found.measurement(self.protocol)


@torch.no_grad()
def measure_bound(count: int, plan: SetPlan, judge: Judge, processes: Processes) -> Bound:
    """The variational bound of `count` images, spread evenly over the reference, along the chain of the sampler's grid.

    The model's own variance decides, whatever the sampler's; guidance is left out, since a guided denoiser has no likelihood to speak of,
    but for bounds on x_0, with which the papers' numbers were computed. All processes must call it.
    """
    source = judge.source
    images = source.images if source else None
    if source is None or images is None:
        raise ValueError("bits_per_dim needs images to measure, and the reference is a file of statistics")
    if images.images([0]).dtype != torch.uint8:
        raise ValueError("bits_per_dim needs 8-bit images: these data are no pixels")
    chosen = Spread(images, count)
    denoiser = plan.source.denoiser.to(processes.device).eval()
    chain = Chain(denoiser.schedule, plan.sampler.grid(denoiser.schedule))
    sums = BoundSums(chain.times, processes.device)
    bounds = {name: part for name, part in plan.guidance.guidances.items() if isinstance(part, Clip)}
    denoise = chained(list(bounds.values()), denoiser)
    labels = chosen.labels if plan.source.num_classes else None
    mine = range(rank(), count, world_size())
    size, progress = plan.request.batch_size, Progress(shown=rank() == 0)
    with progress.task("bits per dimension", count) as task:
        for start in range(0, len(mine), size):
            index = torch.tensor(mine[start : start + size])
            x_0 = chosen.images(index.tolist()).to(processes.device).float() / 127.5 - 1
            cond = Condition(label=None if labels is None else labels[index].to(processes.device))
            noise = ImageNoise(NOISE_SEED, index.to(processes.device))
            if plan.enlarged is not None:
                low_resolution = plan.enlarged.low_resolution
                cond = low_resolution.given(cond, low_resolution.small(x_0), noise)
            sums.update(prior_bits(x_0, chain), bound_steps(x_0, cond, denoise, denoiser.variance, chain, noise))
            task.advance(min(count, (start + len(index)) * world_size()))
    fields: dict[str, Any] = {
        "metric": {"name": "bits_per_dim"},
        "samples": count,
        "reference": source.fields,
        "sampler": {"grid": plan.config["sampler"]["grid"]},
        "guidance": {name: plan.config["guidance"][name] for name in bounds},
        "track": plan.source.track,
        "precision": "32-true",
        "seeds": str(NOISE_SEED),
    }
    return Bound(sums.all_reduced().result(), Protocol.of(fields))
