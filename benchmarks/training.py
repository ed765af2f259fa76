"""Training of one network by difflab and by other projects.

Contenders whose network is difflab's, to the last parameter and operation, are compared by images/s. Whose network is only like it, by the
computation that its images are: images/s times GFLOP/image, beside the rate of a large matrix product in the same type. ADM's own
training code is on no package registry: `plain` is its network and step written the plain way (benchmarks/peers/plain_unet.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.apart import Apart
from benchmarks.contest import rate, take_turns
from benchmarks.peers import Architecture, Work
from benchmarks.peers.contenders import DDPM_PYTORCH, DIFFLAB, DIFFUSERS, PLAIN, Contender
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings

MATMUL = "matrix product"

SMALL = Architecture(32, width=64, channel_mult=(1, 2, 2), depth=2, attention_resolutions=(16,), head_channels=32)
TINY = Architecture(16, width=32, channel_mult=(1, 2), depth=1, attention_resolutions=(8,), head_channels=32)
ADM_64 = Architecture(
    64,
    width=192,
    channel_mult=(1, 2, 3, 4),
    depth=3,
    attention_resolutions=(32, 16, 8),
    head_channels=64,
    resample="biggan",
    num_classes=1000,
    dropout=0.1,
)
"""conf/experiment/adm/imagenet64.yaml, but for the learned variance, which peers have not, and the order of an attention's channels."""


@dataclass(frozen=True)
class Case:
    """Contenders that train one network on batches of one size.

    Attributes:
        name: Of the network.
        steps: In a turn.
        contenders: difflab first.
        goals: Of the computation per second, which between equal networks is that of images.
    """

    name: str
    architecture: Architecture
    batch: int
    steps: int
    contenders: dict[str, Contender]
    goals: tuple[Goal, ...]

    @property
    def type(self) -> torch.dtype:
        """In which the first contender computes."""
        return next(iter(self.contenders.values())).autocast or torch.float32

    @property
    def described(self) -> str:
        a = self.architecture
        return f"{self.name}, width {a.width}, {a.image_size}x{a.image_size}, batch {self.batch}, {str(self.type)[6:]}"

    def small(self) -> Case:
        """The same code at the smallest size that has all of its parts."""
        a = self.architecture
        tiny = replace(TINY, resample=a.resample, num_classes=a.num_classes, dropout=a.dropout)
        return replace(self, architecture=tiny, batch=2, steps=1)


def measure(settings: Settings) -> Iterator[Measurement]:
    for number, case in enumerate(cases(settings.device)):
        yield from compared(case.small() if settings.quick else case, settings, str(number))


def cases(device: torch.device) -> list[Case]:
    """What is measured there."""
    if device.type == "cuda":
        return [on_gpu()]
    return [in_float32(SMALL, steps=6), in_float32(replace(SMALL, image_size=64), steps=3), in_bfloat16()]


def in_float32(architecture: Architecture, steps: int) -> Case:
    """On a CPU."""
    contenders = {name: Contender(name) for name in (DIFFLAB, DIFFUSERS, PLAIN, DDPM_PYTORCH)}
    goals = (Goal(DIFFLAB, DIFFUSERS, 1.2), Goal(DIFFLAB, PLAIN, 1.3))
    return Case("UNet", architecture, 8, steps, contenders, goals)


def in_bfloat16() -> Case:
    """On a CPU: what bfloat16 brings."""
    contenders = {
        DIFFLAB: Contender(DIFFLAB, torch.bfloat16, ("trainer.precision=bf16-mixed",)),
        f"{DIFFLAB}, float32": Contender(DIFFLAB),
        DIFFUSERS: Contender(DIFFUSERS, torch.bfloat16),
    }
    return Case("UNet", SMALL, 8, 6, contenders, (Goal(DIFFLAB, DIFFUSERS, 1.2),))


def on_gpu() -> Case:
    """ADM's ImageNet-64 network in half precision; `plain` in float16, as ADM was trained."""
    contenders = {
        DIFFLAB: Contender(DIFFLAB, torch.bfloat16, ("trainer.precision=bf16-mixed", "compute=compiled_blocks")),
        f"{DIFFLAB}, kernel by kernel": Contender(DIFFLAB, torch.bfloat16, ("trainer.precision=bf16-mixed",)),
        DIFFUSERS: Contender(DIFFUSERS, torch.bfloat16),
        PLAIN: Contender(PLAIN, torch.float16),
        DDPM_PYTORCH: Contender(DDPM_PYTORCH, torch.bfloat16),
    }
    goals = (Goal(DIFFLAB, PLAIN, 2.5), Goal(DIFFLAB, DIFFUSERS, 1.5), Goal(DIFFLAB, MATMUL, 0.45))
    return Case("ADM's ImageNet-64 UNet", ADM_64, 128, 5, contenders, goals)


@dataclass(frozen=True)
class Task:
    """What a contender is told in its process."""

    contender: Contender
    architecture: Architecture
    batch: int
    steps: int
    device: torch.device
    scratch: Path


def under_way(task: Task) -> tuple[Callable[[], object], dict[str, Any]]:
    """The work of a turn, and how much that is."""
    training = task.contender.training(task.architecture, task.batch, task.device, task.scratch)
    return partial(training.run, task.steps), {"work": training.work}


def compared(case: Case, settings: Settings, folder: str) -> Iterator[Measurement]:
    """The contenders of a case that are installed, beside each other."""
    images = case.batch * case.steps
    works: dict[str, Work] = {}
    turns: dict[str, Callable[[], float]] = {MATMUL: _matrix_product(case.type, settings)}
    with ExitStack() as stack, _one_arena():
        for name, contender in case.contenders.items():
            if contender.is_installed:
                place = settings.scratch / folder / name
                process = stack.enter_context(Apart(under_way))
                task = Task(contender, case.architecture, case.batch, case.steps, settings.device, place)
                works[name] = process.prepare(task)["work"]
                turns[name] = _images_per_second(process, images)
        found = take_turns(turns, settings.rounds)
    equal = [name for name in works if works[name].equals(works[DIFFLAB])]
    if len(equal) > 1:
        values = {name: found[name] for name in equal}
        yield _measurement(case, f"{case.described}: equal networks", "images/s", values, works)
    others = [DIFFLAB, *(name for name in works if name not in equal)]
    values = {name: [x * works[name].training_gflop for x in found[name]] for name in others}
    values[MATMUL] = found[MATMUL]
    yield _measurement(case, f"{case.described}: computation, networks not equal", "GFLOP/s", values, works)


def _images_per_second(process: Apart, images: int) -> Callable[[], float]:
    return lambda: images / process.turn()


@contextmanager
def _one_arena() -> Iterator[None]:
    """Threads of the processes that begin within it share the heap of the main one.

    difflab's training waits for its turns in a thread, and a command's has no thread to itself, nor a heap that is cleared more often.
    """
    before = os.environ.get("MALLOC_ARENA_MAX")
    os.environ["MALLOC_ARENA_MAX"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MALLOC_ARENA_MAX"]
        else:
            os.environ["MALLOC_ARENA_MAX"] = before


def _matrix_product(dtype: torch.dtype, settings: Settings) -> Callable[[], float]:
    """Multiplications and additions per second, 10^9, of square matrices."""
    n = 256 if settings.quick else 8192 if settings.device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=settings.device).to(dtype) for _ in range(2))
    return rate(lambda: a @ b, 2 * n**3 / 1e9, times=5)


def _measurement(
    case: Case, text: str, unit: str, values: dict[str, list[float]], works: dict[str, Work]
) -> Measurement:
    facts = {
        name: {"parameters": works[name].parameters, "training GFLOP/image": works[name].training_gflop}
        for name in values
        if name in works
    }
    goals = tuple(goal for goal in case.goals if {goal.contender, goal.against} <= set(values))
    baseline = next(name for name in (MATMUL, DIFFUSERS, PLAIN, DIFFLAB) if name in values)
    return Measurement("training", text, unit, True, values, baseline, facts, goals)
