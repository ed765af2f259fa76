"""Images/s of drawing with one network, in difflab and in diffusers: the same weights, scheduler, steps and so the same images.

difflab does for a batch what sample.py does: `draw` with the chain of guidances, then bytes. diffusers runs its pipeline, or where it has
none the loop that its documentation writes, and leaves floating-point images. `network alone` makes the same calls of difflab's network
with nothing between them: what it is faster by is what the walk costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contest import rate, take_turns
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings
from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, Clip, Guidance, chained
from difflab.metrics.quantize import to_uint8
from difflab.networks import UNet
from difflab.networks.layers.additive_group_norm import AdditiveGroupNorm
from difflab.networks.layers.attention import HeadsFirstAttention
from difflab.networks.layers.conv_resample import ConvResample
from difflab.networks.layers.heads import HeadWidth
from difflab.networks.layers.label_embedding import NullableLabelEmbedding
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, DDPM, Heun, Sampler, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import linear
from difflab.types import Condition
from difflab.variances import FixedSmall

CLASSES = 10
DEPTH = 2
SCALE = 3.0
"""Of classifier-free guidance."""

GOAL = 1.3
LOOP_GOAL = 0.98


@dataclass(frozen=True)
class Task:
    """What is drawn.

    name       of what is drawn with, here and in `benchmarks.diffusers_drawing.DRAWINGS`
    sampler    of difflab
    guidances  of difflab
    walk       whether the network's calls are measured by themselves too
    size       of the images
    batch      how many of them
    steps      of the sampler
    calls      of the network
    """

    name: str
    sampler: Callable[[UniformGrid], Sampler]
    size: int
    batch: int
    steps: int
    calls: int
    guidances: Sequence[Guidance] = (Clip(),)
    walk: bool = False

    @property
    def classes(self) -> int:
        """That the network is told; 0 for none."""
        return CLASSES if self.rows > self.batch else 0

    @property
    def rows(self) -> int:
        """Images per call of the network."""
        return self.batch * (1 + any(guidance.needs_null_condition for guidance in self.guidances))


def tasks(settings: Settings) -> list[Task]:
    """All that is measured. Only larger batches keep a GPU busy."""
    small, large = (2, 1) if settings.quick else (256, 64) if settings.device.type == "cuda" else (16, 2)
    few, many = (2, 2) if settings.quick else (4, 25)
    size, larger = (8, 16) if settings.quick else (32, 64)
    heun = few // 2 + 1
    return [
        Task("DDPM", partial(DDPM, variance=FixedSmall()), size, small, few, few, walk=True),
        Task("DDIM", DDIM, size, small, few, few),
        Task("DDIM", DDIM, larger, large, many, many),
        Task("Heun", Heun, size, small, heun, 2 * heun - 1, ()),
        Task(
            "DDIM, classifier-free guidance",
            DDIM, size, max(small // 2, 1), few, few, (ClassifierFree(SCALE), Clip()),
        ),
    ]  # fmt: skip


def measure(settings: Settings) -> Iterator[Measurement]:
    for task in tasks(settings):
        yield _measured(task, settings)


def _measured(task: Task, settings: Settings) -> Measurement:
    network = network_of(task, settings)
    contenders = {"difflab": ours(task, network, settings.device)}
    facts, goals, baseline = {"difflab": _facts(task, network, contenders["difflab"])}, [], None
    if task.walk:
        contenders["network alone"] = alone(task, network, settings.device)
        goals, baseline = [Goal("difflab", "network alone", LOOP_GOAL)], "network alone"
    if find_spec("diffusers") is None:
        print("sampling: diffusers is not installed, difflab is measured by itself", file=sys.stderr)
    else:
        from benchmarks.diffusers_drawing import DRAWINGS
        from benchmarks.diffusers_twin import twin

        unet: Any = twin(network, DEPTH)
        unet.to(settings.device).eval()
        contenders["diffusers"] = DRAWINGS[task.name](unet, task.batch, task.steps, SCALE)
        facts["diffusers"] = _facts(task, unet, contenders["diffusers"])
        goals, baseline = [Goal("difflab", "diffusers", GOAL), *goals], "diffusers"
    values = take_turns({name: rate(work, task.batch) for name, work in contenders.items()}, settings.rounds)
    return Measurement(
        bench="sampling",
        case=f"{task.name}, {task.steps} steps, {task.size}x{task.size}, batch {task.batch}, float32",
        unit="images/s",
        more_is_better=True,
        values=values,
        baseline=baseline,
        facts=facts,
        goals=tuple(goals),
    )


def network_of(task: Task, settings: Settings) -> UNet:
    """6.5 million weights, none of them zero."""
    torch.manual_seed(0)
    network = UNet(
        task.size,
        3,
        3,
        embedders={"label": partial(NullableLabelEmbedding, task.classes)} if task.classes else {},
        norm=AdditiveGroupNorm,
        resample=ConvResample(),
        attention=partial(HeadsFirstAttention, heads=HeadWidth(32 if settings.quick else 64)),
        width=32 if settings.quick else 64,
        channel_mult=(1, 2) if settings.quick else (1, 2, 2),
        depth=DEPTH,
        attention_resolutions=(task.size // 2,) if settings.quick else (16,),
    )
    for parameter in network.parameters():
        if not parameter.any():  # the last layers of branches
            torch.nn.init.normal_(parameter, std=0.02)
    return network.to(settings.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def ours(task: Task, network: UNet, device: torch.device) -> Callable[[], Tensor]:
    """What sample.py does for a batch (`difflab.cli.set_plan`), without the file."""
    denoiser = Denoiser(network, linear(1000), Epsilon(), FixedSmall()).to(device).eval()
    sampler = task.sampler(UniformGrid(f"ddim{task.steps}"))
    seeds = torch.arange(task.batch, device=device)

    @torch.no_grad()
    def drawn() -> Tensor:
        cond = Condition(label=seeds % task.classes) if task.classes else Condition()
        denoise = chained(list(task.guidances), denoiser)
        return to_uint8(draw(denoise, denoiser.schedule, sampler, denoiser.image_shape, seeds, cond)).cpu()

    return drawn


def alone(task: Task, network: UNet, device: torch.device) -> Callable[[], Tensor]:
    """The calls of the network that drawing makes."""
    x = torch.randn(task.rows, 3, task.size, task.size, device=device)
    time = torch.linspace(0, 999, task.rows, device=device)
    cond = Condition(label=torch.arange(task.rows, device=device) % task.classes) if task.classes else Condition()

    @torch.no_grad()
    def called() -> Tensor:
        return [network(x, time, cond) for _ in range(task.calls)][-1]

    return called


def _facts(task: Task, network: torch.nn.Module, work: Callable[[], object]) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter:
        work()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {
        "parameters": parameters,
        "GFLOP/image": counter.get_total_flops() / task.batch / 1e9,
        "network calls": task.calls,
    }
