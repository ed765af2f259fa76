"""Bits per dimension of a model on the images of its reference, by a likelihood of `difflab.likelihoods`.

Means over the images with standard errors, summed over batches and processes. Kept are sums only: n, sum total, sum total^2, sum
prior, and of every step, if the likelihood has such, the sums of its term of the bound and of its squared errors. So memory is that of
the chain, whatever the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.config.build import build
from difflab.data.subset import Spread
from difflab.distributed import Processes
from difflab.distributed.group import rank, sum_over_processes, world_size
from difflab.evaluation.evaluator import Evaluator
from difflab.evaluation.results import Measurement
from difflab.guidance import chained
from difflab.likelihoods import Likelihood, VariationalBound
from difflab.metrics.protocol import MetricInfo, Protocol, Value
from difflab.noise import ImageNoise
from difflab.runtime.progress import Progress
from difflab.sampling.job import SamplingJob, code_fields

Step = tuple[float, Tensor, Tensor, Tensor]
"""(t, term of the bound, squared error of x_0, squared error of eps), [B] each: an `objectives.BoundStep`."""

INFO = MetricInfo(higher_is_better=False, unit="bits/dim", label=VariationalBound.label)
"""Of 8-bit images, whose likelihoods are probabilities: never below 0."""

DENSITIES = (-math.inf, math.inf)
"""Where the bits of real values can lie: a density is no probability."""


@dataclass(frozen=True)
class BitsPerDim:
    """Means over `samples` images; of the steps the cleanest first, float64 [N] each.

    Attributes:
        value: Prior + sum of vb: the bound on -log2 p(x_0), per dimension.
        std_error: Over other images, and other noise: sd / sqrt(samples).
        prior: The part of the chain's noisy end.
        t: The time at each step's noisy end.
        vb: Each step's term, bits per dimension.
        x0_mse: Each step's squared error of x_0, in [-1, 1].
        eps_mse: Each step's squared error of eps.
    """

    value: float
    std_error: float
    samples: int
    prior: float
    t: Float64[Tensor, " n"]
    vb: Float64[Tensor, " n"]
    x0_mse: Float64[Tensor, " n"]
    eps_mse: Float64[Tensor, " n"]

    def measurement(
        self, protocol: Protocol, likelihood: Likelihood | type[Likelihood] = VariationalBound, pixels: bool = True
    ) -> Measurement:
        info = replace(INFO, label=likelihood.label, unit=likelihood.unit, **({} if pixels else {"bounds": DENSITIES}))
        return Measurement.of(likelihood.name, self.value, self.samples, protocol, info, self.std_error, self.samples)

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """What kind of number this is, if it is a bound that an earlier version measured."""
        return INFO if name == VariationalBound.name else None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for a file and for a plot of vb against t."""
        lists = {name: getattr(self, name).tolist() for name in ("t", "vb", "x0_mse", "eps_mse")}
        numbers = {name: getattr(self, name) for name in ("value", "std_error", "samples", "prior")}
        return {**numbers, "steps": lists}


class BoundSums:
    """Sums over batches of images.

    Attributes:
        images: float64 [4]: n, sum total, sum total^2, sum prior.
        steps: float64 [3, N]: sums of vb, x0_mse, eps_mse; the cleanest step first.
    """

    def __init__(self, times: Float64[Tensor, " n"], device: torch.device | str = "cpu"):
        """Begins with nothing summed.

        Args:
            times: Of the chain, 0 = t_0 < ... < t_N.
            device: Where the sums lie.
        """
        self.t = times[1:].to("cpu", torch.float64)
        self.images = torch.zeros(4, dtype=torch.float64, device=device)
        self.steps = torch.zeros(3, len(self.t), dtype=torch.float64, device=device)

    def update(self, prior: Float[Tensor, " b"], steps: Iterable[Step]) -> Float64[Tensor, " b"]:
        """Adds a batch and gives its images' bounds.

        Args:
            prior: What belongs to no step.
            steps: All of them, the noisiest first; taken as they come, so that none is kept.
        """
        prior = prior.to(self.images)
        total, found, sums = prior.clone(), [], []
        for t, *terms in steps:
            vb, x0_mse, eps_mse = (term.to(self.images) for term in terms)
            found.append(t)
            total += vb
            sums.append(torch.stack([vb.sum(), x0_mse.sum(), eps_mse.sum()]))
        if found[::-1] != self.t.tolist():
            raise ValueError(
                f"these sums are of a chain of {len(self.t)} steps at other times than the {len(found)} steps that came: "
                "give both the same chain, and its steps from the noisiest to the cleanest"
            )
        if not total.isfinite().all():
            worst = int((~total.isfinite()).nonzero()[0])
            raise ValueError(f"the bound of image {worst} of this batch of {len(total)} is not finite")
        n = torch.full_like(prior, 1).sum()
        self.images += torch.stack([n, total.sum(), total.square().sum(), prior.sum()])
        if sums:
            self.steps += torch.stack(sums[::-1], dim=1)
        return total

    def all_reduced(self) -> BoundSums:
        """The sums over all processes, in one collective call; these stay as they are."""
        summed = BoundSums(torch.cat([torch.zeros(1, dtype=torch.float64), self.t]), self.images.device)
        summed.images, summed.steps = sum_over_processes([self.images, self.steps])
        return summed

    def result(self) -> BitsPerDim:
        count, total, square, prior = self.images.tolist()
        if count < 2:
            raise ValueError(f"a standard error needs at least 2 images, got {count:.0f}")
        mean = total / count
        variance = max(square / count - mean**2, 0.0) * count / (count - 1)
        vb, x0_mse, eps_mse = (self.steps / count).cpu()
        return BitsPerDim(mean, math.sqrt(variance / count), int(count), prior / count, self.t, vb, x0_mse, eps_mse)


NOISE_SEED = 0


@torch.no_grad()
def measure_likelihood(
    node: Mapping[str, Any], count: int, job: SamplingJob, evaluator: Evaluator, processes: Processes
) -> tuple[Measurement, BitsPerDim]:
    """The bits per dimension of `count` images, spread evenly over the reference.

    Guidance is left out, since a guided denoiser has no likelihood to speak of, but for bounds on x_0 where the likelihood is asked within
    them. All processes must call it.

    Args:
        node: Of the likelihood, plain and resolved.
        count: Images.
        job: Whose model it is.
        evaluator: Whose reference has the images.
        processes: Which share them.

    Returns:
        The number, and what it is made of.
    """
    likelihood: Likelihood = build(node)
    source = evaluator.source
    images = source.images if source else None
    if source is None or images is None:
        raise ValueError("bits_per_dim needs images to measure, and the reference is a file of statistics")
    pixels = images.images([0]).dtype == torch.uint8
    if not pixels and not likelihood.of_densities:
        raise ValueError(
            "bits_per_dim needs 8-bit images: these data are no pixels. likelihood=probability_flow measures densities"
        )
    chosen = Spread(images, count)
    denoiser = job.model.denoiser.to(processes.device).eval()
    times = likelihood.times(denoiser.schedule, job.sampler)
    sums = BoundSums(times, processes.device)
    bounds = {name: part for name, part in job.guidance.guidances.items() if part.bounds_x0 and likelihood.bounded}
    denoise = chained(list(bounds.values()), denoiser)
    mine = range(rank(), count, world_size())
    size, progress = job.options.batch_size, Progress(shown=rank() == 0)
    with progress.task("bits per dimension", count) as task:
        for start in range(0, len(mine), size):
            index = torch.tensor(mine[start : start + size])
            x_0 = chosen.images(index.tolist()).to(processes.device).float()
            x_0 = x_0 / 127.5 - 1 if pixels else x_0
            noise = ImageNoise(NOISE_SEED, index.to(processes.device))
            cond = job.conditions.drawing.condition_of(chosen.condition(index).to(processes.device), x_0, noise)
            found = likelihood(denoiser, denoise, x_0, cond, noise, times, 2 / 255 if pixels else None)
            sums.update(found.prior, found.steps)
            task.advance(min(count, (start + len(index)) * world_size()))
    fields: dict[str, Any] = {
        "metric": {"name": likelihood.name},
        "samples": count,
        "reference": source.fields,
        **({"sampler": {"grid": job.config["sampler"].get("grid")}} if likelihood.of_sampler else {}),
        **({} if likelihood.name == VariationalBound.name else {"likelihood": dict(node), **code_fields(node)}),
        "guidance": {name: job.config["guidance"][name] for name in bounds},
        "track": job.model.track,
        "precision": "32-true",
        "seeds": str(NOISE_SEED),
    }
    result = sums.all_reduced().result()
    return result.measurement(Protocol.of(fields), likelihood, pixels), result
