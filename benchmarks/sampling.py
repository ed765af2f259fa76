"""Images/s of drawing with one network, in difflab and in diffusers: the same weights, scheduler, steps and so the same images.

Who draws, and how, is in `benchmarks.drawers`; each in a process of its own. `network alone` makes difflab's calls of the network with
nothing between them: what it is faster by is what the walk costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

from benchmarks import drawers
from benchmarks.apart import Apart, Prepare
from benchmarks.contest import take_turns
from benchmarks.drawers import SCALE, Task
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings
from difflab.guidance import ClassifierFree, Clip
from difflab.samplers import DDIM, DDPM, Heun
from difflab.variances import FixedSmall

GOAL = 1.3
WALK_GOAL = 0.98
WALK = "network alone"


def tasks(settings: Settings) -> list[Task]:
    """All that is measured: three minutes on two cores. Only larger batches keep a GPU busy."""
    batch, fewer = (2, 1) if settings.quick else (256, 64) if settings.device.type == "cuda" else (16, 4)
    steps, many = (2, 2) if settings.quick else (4, 25)
    size, larger = (8, 16) if settings.quick else (32, 64)
    pairs = steps // 2 + 1
    task = partial(Task, small=settings.quick, device=settings.device)
    ddim = partial(task, "DDIM", DDIM, guidances=(Clip(),), walk=False)
    guided = "DDIM, classifier-free guidance"
    return [
        task("DDPM", partial(DDPM, variance=FixedSmall()), size, batch, steps, steps, guidances=(Clip(),), walk=True),
        ddim(size, batch, steps, steps),
        ddim(larger, fewer, many, many),
        task("Heun", Heun, size, batch, pairs, 2 * pairs - 1, guidances=(), walk=False),
        task(guided, DDIM, size, batch // 2, steps, steps, guidances=(ClassifierFree(SCALE), Clip()), walk=False),
    ]


def contenders(settings: Settings) -> dict[str, Prepare]:
    found: dict[str, Prepare] = {"difflab": drawers.difflab, WALK: drawers.network_alone}
    if settings.device.type == "cuda":
        found["difflab, compiled"] = drawers.compiled
    if find_spec("diffusers") is None:
        print("sampling: diffusers is not installed, difflab is measured by itself", file=sys.stderr)
    else:
        found["diffusers"] = drawers.diffusers
    return found


def measure(settings: Settings) -> Iterator[Measurement]:
    with ExitStack() as stack:
        running = {name: stack.enter_context(Apart(prepare)) for name, prepare in contenders(settings).items()}
        for task in tasks(settings):
            yield _measured(task, settings, {k: v for k, v in running.items() if task.walk or k != WALK})


def _measured(task: Task, settings: Settings, running: Mapping[str, Apart]) -> Measurement:
    facts = {name: contender.prepare(task) for name, contender in running.items()}
    values = take_turns({name: _rate(contender, task.batch) for name, contender in running.items()}, settings.rounds)
    goals = [Goal("difflab", "diffusers", GOAL), Goal("difflab", WALK, WALK_GOAL)]
    return Measurement(
        bench="sampling",
        case=f"{task.name}, {task.steps} steps, {task.size}x{task.size}, batch {task.batch}, float32",
        unit="images/s",
        more_is_better=True,
        values=values,
        baseline=next((name for name in ("diffusers", WALK) if name in values), None),
        facts=facts,
        goals=tuple(goal for goal in goals if goal.against in values),
    )


def _rate(contender: Apart, images: int) -> Callable[[], float]:
    return lambda: images / contender.turn()
