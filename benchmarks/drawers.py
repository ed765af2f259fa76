"""Who draws: (task) -> (what draws a batch of it, parameters and FLOPs). All have the same network with the same weights.

difflab does for a batch what sample.py does: `draw` with the chain of guidances, then bytes. diffusers runs its pipeline, or where it has
none the loop that its documentation writes, and leaves floating-point images. `network_alone` makes the same calls of difflab's network
with nothing between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from difflab.denoiser import Denoiser
from difflab.features import to_uint8
from difflab.guidance import Guidance, chained
from difflab.networks import CompiledBlocks, Compute, KernelByKernel, UNet
from difflab.networks.layers.attention import HeadsFirstAttention, HeadWidth
from difflab.networks.layers.embeddings import NullableLabelEmbedding
from difflab.networks.layers.norms import AdditiveGroupNorm
from difflab.networks.layers.resample import ConvResample
from difflab.parameterizations import Epsilon
from difflab.runtime.process import keep_freed_memory
from difflab.samplers import Sampler, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import linear
from difflab.types import Condition, Label
from difflab.variances import FixedSmall

CLASSES = 10
DEPTH = 2
SCALE = 3.0
"""Of classifier-free guidance."""


@dataclass(frozen=True)
class Task:
    """What is drawn.

    Attributes:
        name: Of what is drawn with, here and in `benchmarks.diffusers_drawing.DRAWINGS`.
        sampler: Of difflab.
        size: Of the images.
        batch: How many of them.
        steps: Of the sampler.
        calls: Of the network.
        guidances: Of difflab.
        walk: Whether the network's calls are measured by themselves too.
        small: a network that is there to be tested.
        device: Where it is drawn.
    """

    name: str
    sampler: Callable[[UniformGrid], Sampler]
    size: int
    batch: int
    steps: int
    calls: int
    guidances: Sequence[Guidance]
    walk: bool
    small: bool
    device: torch.device

    @property
    def classes(self) -> int:
        """That the network is told; 0 for none."""
        return CLASSES if self.rows > self.batch else 0

    @property
    def rows(self) -> int:
        """Images per call of the network."""
        return self.batch * (1 + any(guidance.needs_null_condition for guidance in self.guidances))


Drawer = tuple[Callable[[], Tensor], dict[str, Any]]


def difflab(task: Task, compute: Compute = KernelByKernel()) -> Drawer:  # noqa: B008 - it has no state
    """As `difflab.sampling.job` draws a batch in a process that `difflab.distributed.Processes` has started, without the file."""
    if task.device.type == "cpu":
        keep_freed_memory()
    network = network_of(task)
    compute.prepare(network, task.device)
    denoiser = Denoiser(network, linear(1000), Epsilon(), FixedSmall()).eval()
    sampler = task.sampler(UniformGrid(f"ddim{task.steps}"))
    seeds = torch.arange(task.batch, device=task.device)

    @torch.no_grad()
    def drawn() -> Tensor:
        cond = Condition(label=Label(seeds % task.classes)) if task.classes else Condition()
        denoise = chained(list(task.guidances), denoiser)
        return to_uint8(draw(denoise, denoiser.schedule, sampler, denoiser.image_shape, seeds, cond)).cpu()

    return drawn, _facts(task, network, drawn)


def compiled(task: Task) -> Drawer:
    return difflab(task, CompiledBlocks())


def network_alone(task: Task) -> Drawer:
    if task.device.type == "cpu":
        keep_freed_memory()
    network = network_of(task)
    KernelByKernel().prepare(network, task.device)
    x = torch.randn(task.rows, 3, task.size, task.size, device=task.device)
    time = torch.linspace(0, 999, task.rows, device=task.device)
    cond = (
        Condition(label=Label(torch.arange(task.rows, device=task.device) % task.classes))
        if task.classes
        else Condition()
    )

    @torch.no_grad()
    def called() -> Tensor:
        return [network(x, time, cond) for _ in range(task.calls)][-1]

    return called, _facts(task, network, called)


def diffusers(task: Task) -> Drawer:
    from benchmarks.diffusers_drawing import DRAWINGS
    from benchmarks.diffusers_twin import twin

    unet: Any = twin(network_of(task), DEPTH)
    unet.to(task.device).eval()
    drawn = DRAWINGS[task.name](unet, task.batch, task.steps, SCALE)
    return drawn, _facts(task, unet, drawn)


def network_of(task: Task) -> UNet:
    """6.5 million weights, none of them zero; the same whenever it is asked for."""
    torch.manual_seed(0)
    network = UNet(
        task.size,
        3,
        3,
        embedders={"label": partial(NullableLabelEmbedding, task.classes)} if task.classes else {},
        norm=AdditiveGroupNorm,
        resample=ConvResample(),
        attention=partial(HeadsFirstAttention, heads=HeadWidth(32 if task.small else 64)),
        width=32 if task.small else 64,
        channel_mult=(1, 2) if task.small else (1, 2, 2),
        depth=DEPTH,
        attention_resolutions=(task.size // 2 if task.small else 16,),
    )
    for parameter in network.parameters():
        if not parameter.any():  # the last layers of branches
            torch.nn.init.normal_(parameter, std=0.02)
    return network.to(task.device).eval()


def _facts(task: Task, network: torch.nn.Module, work: Callable[[], object]) -> dict[str, Any]:
    # in half precision, in which our network as well computes what its layers say (see `DoublingConv2d`)
    with torch.autocast(task.device.type, torch.bfloat16), FlopCounterMode(display=False) as counter:
        work()
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "GFLOP/image": counter.get_total_flops() / task.batch / 1e9,
        "network calls": task.calls,
    }
