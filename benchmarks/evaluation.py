"""FID beside other projects, with one set of weights: from images to mean and covariance, and from these to the distance.

A FID of N images takes N / (images/s) + (seconds of the distance), both of which stand here: with networks of this size N images that are
enough for 2048 dimensions take minutes on a CPU.

`network alone` calls difflab's network on a batch that lies on the device: what it is faster by is what loading, storing and summing cost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from benchmarks.contest import clocked, rate, take_turns
from benchmarks.fid_projects import PROJECTS, Difflab, Task, random_weights
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings
from difflab.metrics import Gaussian, Moments

ALONE = "network alone"
GOAL = 0.9

FEATURE_ROUNDS, DISTANCE_ROUNDS = 3, 2
"""At most (features: on a CPU): one round of all takes about 20 seconds, of distances half a minute."""


def measure(settings: Settings) -> Iterator[Measurement]:
    projects = _installed()
    yield _features(settings, projects)
    yield _distance(settings, projects)


def _features(settings: Settings, projects: list[str]) -> Measurement:
    gpu = settings.device.type == "cuda"
    count, batch = (2, 1) if settings.quick else (5000, 50) if gpu else (50, 50)
    weights = settings.scratch / "weights.pth"
    random_weights(weights)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    task = Task(images, settings.scratch, weights, batch, settings.device)
    made = {name: PROJECTS[name](task) for name in projects}
    ours = made["difflab"]
    assert isinstance(ours, Difflab)
    work: dict[str, Callable[[], object]] = {name: project.gaussian for name, project in made.items()}
    work[ALONE] = partial(_network_alone, ours, images[:batch].to(settings.device), count // batch)
    contenders = {name: rate(one, count) for name, one in work.items()}
    rounds = settings.rounds if gpu else min(settings.rounds, FEATURE_ROUNDS)
    return Measurement(
        bench="evaluation",
        case=f"{count} images 32x32 to mean and covariance of InceptionV3's features, batch {batch}, float32",
        unit="images/s",
        more_is_better=True,
        values=take_turns(contenders, rounds, warm_up=settings.warm_up),
        baseline=ALONE,
        goals=(Goal("difflab", ALONE, GOAL), *(Goal("difflab", name, 1.0) for name in projects if name != "difflab")),
    )


def _network_alone(project: Difflab, batch: Tensor, times: int) -> None:
    for _ in range(times):
        project.extractor(batch)


def _distance(settings: Settings, projects: list[str]) -> Measurement:
    dimension = 64 if settings.quick else 2048
    gaussians = [random_gaussian(dimension, seed, settings.device) for seed in (0, 1)]
    # clean-fid's distance is pytorch-fid's, line by line, and takes the longest
    chosen = [name for name in projects if name != "clean-fid" or "pytorch-fid" not in projects]
    contenders = {name: clocked(partial(PROJECTS[name].distance, *gaussians)) for name in chosen}
    rounds = min(settings.rounds, DISTANCE_ROUNDS)
    return Measurement(
        bench="evaluation",
        case=f"distance of two Gaussians of {dimension} dimensions",
        unit="s",
        more_is_better=False,
        values=take_turns(contenders, rounds, warm_up=0),
        baseline="difflab",
        goals=tuple(Goal("difflab", name, 1.0) for name in chosen if name != "difflab"),
    )


def random_gaussian(dimension: int, seed: int, device: torch.device) -> Gaussian:
    """Of two images per dimension, with eigenvalues that fall over six orders of magnitude as those of real features do."""
    generator = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    mixing = normal(dimension, dimension) * 10 ** -torch.linspace(0, 3, dimension, dtype=torch.float64) / dimension**0.5
    moments = Moments(dimension)
    moments.update(normal(2 * dimension, dimension) @ mixing)
    found = moments.gaussian()
    return Gaussian(found.mean.to(device), found.covariance.to(device), found.count)


def _installed() -> list[str]:
    found = []
    for name, project in PROJECTS.items():
        if missing := [module for module in project.modules if find_spec(module) is None]:
            print(f"evaluation: {name} is left out, {missing[0]} is not installed", file=sys.stderr)
        else:
            found.append(name)
    return found
