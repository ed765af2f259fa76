"""How a training step grows: width, depth, resolution, batch, steps of the schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmarks.contest import clocked
from benchmarks.flops import flops_of
from benchmarks.growth_point import Point, curve
from benchmarks.live_memory import bytes_of, peak_of
from benchmarks.record import Measurement
from benchmarks.settings import Settings
from difflab.denoiser import Denoiser
from difflab.ema import Constant, Tracks
from difflab.networks import UNet
from difflab.networks.layers import AdaptiveGroupNorm, ConvResample, HeadsFirstAttention, HeadWidth
from difflab.noise import ImageNoise
from difflab.objectives import Simple
from difflab.objectives.time_samplers import LossSecondMoment, TimeSampler, Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.schedules import linear
from difflab.types import Condition
from difflab.variances import FixedSmall

MIB = 2**20


@dataclass(frozen=True)
class Size:
    """Of what is trained; image sizes at which there is attention besides the middle."""

    width: int = 64
    channel_mult: tuple[int, ...] = (1, 2, 2)
    depth: int = 1
    resolution: int = 16
    batch: int = 8
    attention: tuple[int, ...] = ()
    steps: int = 1000
    loss_aware: bool = False


REAL, TINY = Size(), Size(width=32, channel_mult=(1, 2), resolution=8, batch=2)


class TrainingStep:
    """One step as in training: loss, backward pass, AdamW, one EMA track."""

    def __init__(self, size: Size, device: torch.device):
        torch.manual_seed(0)
        self.denoiser = Denoiser(network(size), linear(size.steps), Epsilon(), FixedSmall()).to(device)
        self.parameters = list(self.denoiser.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, fused=True)
        self.tracks = Tracks({"constant": Constant(0.9999)})
        self.tracks.start(self.denoiser)
        self.time_sampler = time_sampler(size)
        self.objective = Simple(self.time_sampler, Unweighted())
        self.x_0 = torch.rand(size.batch, 3, size.resolution, size.resolution, device=device) * 2 - 1
        self.number = torch.arange(size.batch, device=device)

    def __call__(self) -> None:
        losses = self.objective(self.denoiser, self.x_0, Condition(), ImageNoise(0, self.number))
        losses.total.mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tracks.update(self.denoiser)
        if self.time_sampler.is_loss_aware:
            self.time_sampler.update(losses.t.cpu(), losses.terms["loss"].detach().double().cpu())
        self.number += len(self.number)

    def counts(self) -> dict[str, int]:
        """Takes the first step."""
        return {"flops": flops_of(self), "parameters": sum(p.numel() for p in self.parameters)}

    def mebibytes(self) -> float:
        """At the peak of a step: what is kept from step to step, and what the step adds."""
        state = [value for values in self.optimizer.state.values() for value in values.values()]
        kept = [*self.parameters, *state, *self.tracks.shadows["constant"].values()]
        return (bytes_of([t for t in kept if isinstance(t, torch.Tensor)]) + peak_of(self)) / MIB


def network(size: Size) -> UNet:
    return UNet(
        size.resolution,
        3,
        3,
        embedders={},
        norm=AdaptiveGroupNorm,
        resample=ConvResample(),
        attention=partial(HeadsFirstAttention, heads=HeadWidth(32)),
        width=size.width,
        channel_mult=size.channel_mult,
        depth=size.depth,
        attention_resolutions=size.attention,
    )


def time_sampler(size: Size) -> TimeSampler:
    if not size.loss_aware:
        return Uniform()
    sampler = LossSecondMoment(size.steps)
    sampler.losses.uniform_(0.1, 1)  # a full history: from there on each draw looks at all of it
    sampler.counts.fill_(sampler.losses.shape[1])
    return sampler


def measure(settings: Settings) -> Iterator[Measurement]:
    base = TINY if settings.quick else REAL
    small = replace(base, width=32, batch=2)
    whole = "2 in the convolutions, plus 4 in attention"
    yield from _curves(
        settings,
        "width",
        "2 with convolutions alone",
        [replace(base, width=w) for w in _of(settings, 32, 64, 128, 192)],
        True,
    )
    yield from _curves(
        settings,
        "depth",
        "1, less what has no depth",
        [replace(base, depth=d) for d in _of(settings, 1, 2, 4, 6)],
        True,
    )
    sides = _of(settings, 16, 32, 64, 128)
    yield from _curves(
        settings, "resolution", "2, the middle's attention aside", [replace(small, resolution=r) for r in sides], True
    )
    sides = _of(settings, 8, 16, 32, 64)
    attending = [replace(small, resolution=r, batch=1, attention=(r,)) for r in sides]
    yield from _curves(settings, "resolution", whole, attending, True, ", attention at all pixels")
    yield from _curves(
        settings,
        "batch",
        "1, less optimizer and EMA",
        [replace(base, batch=b) for b in _of(settings, 1, 2, 4, 8, 16, 32)],
        True,
    )
    counts = _of(settings, 100, 1000, 10_000)
    small = replace(base, width=32)
    yield from _curves(settings, "steps", "0", [replace(small, steps=t) for t in counts], False, " of the schedule")
    aware = [replace(small, steps=t, loss_aware=True) for t in counts]
    yield from _curves(settings, "steps", "0", aware, False, " of the schedule, times drawn by their losses")


def _curves(
    settings: Settings, quantity: str, expected: str, sizes: Sequence[Size], memory: bool, more: str = ""
) -> Iterator[Measurement]:
    """Time of a step, and its memory, against one of the fields of `Size`."""
    steps = [(getattr(size, quantity), TrainingStep(size, settings.device)) for size in sizes]
    counts = [step.counts() for _, step in steps]
    points = [Point(x, clocked(step), count) for (x, step), count in zip(steps, counts, strict=True)]
    yield curve(
        f"training step against {quantity}{more}", "s", quantity, expected, points, settings.rounds, settings.warm_up
    )
    if memory:
        points = [Point(x, step.mebibytes, count) for (x, step), count in zip(steps, counts, strict=True)]
        held = (
            "1 to 2"
            if quantity == "width"
            else expected.replace("plus 4 in attention", "attention's is linear in pixels")
        )
        case = f"memory of a training step against {quantity}{more}"
        yield curve(case, "MiB", quantity, held, points, rounds=1, warm_up=0)


def _of(settings: Settings, *sizes: int) -> Sequence[int]:
    return sizes[:2] if settings.quick else sizes
