"""How drawing grows with images and steps, and a distance with the images that it is taken of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence

import torch

from benchmarks.contest import clocked
from benchmarks.flops import flops_of
from benchmarks.growth_point import Point, curve
from benchmarks.growth_training import MIB, REAL, TINY, network
from benchmarks.live_memory import peak_of
from benchmarks.record import Measurement
from benchmarks.settings import Settings
from difflab.data import ArrayImages
from difflab.denoiser import Denoiser
from difflab.features import DigitsExtractor
from difflab.features.embed import embed
from difflab.features.extractor import FeatureSet
from difflab.metrics import Moments, frechet_distance
from difflab.metrics.gaussian import gaussian_of
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, draw, shares
from difflab.samplers.grids import UniformGrid
from difflab.schedules import linear
from difflab.types import Condition
from difflab.variances import FixedSmall


def measure(settings: Settings) -> Iterator[Measurement]:
    yield from _drawing(settings)
    yield from _distance(settings)


def _drawing(settings: Settings) -> Iterator[Measurement]:
    torch.manual_seed(0)
    size = TINY if settings.quick else REAL
    denoiser = Denoiser(network(size), linear(1000), Epsilon(), FixedSmall()).to(settings.device).eval()

    def drawn(images: int, steps: int) -> Callable[[], None]:
        def work() -> None:
            sampler = DDIM(UniformGrid(steps))
            for seeds in shares(images, 16, 0, 1):
                draw(denoiser, denoiser.schedule, sampler, denoiser.image_shape, seeds.to(settings.device), Condition())

        return work

    counts = (16, 32) if settings.quick else (16, 32, 64, 128)
    work = {n: drawn(n, 2) for n in counts}
    points = [Point(n, clocked(one), {"flops": flops_of(one)}) for n, one in work.items()]
    yield curve("drawing, 2 steps, against images", "s", "images", "1", points, settings.rounds, settings.warm_up)
    points = [Point(n, _mebibytes(one)) for n, one in work.items()]
    yield curve("memory of drawing, 2 steps, against images", "MiB", "images", "0", points, rounds=1, warm_up=0)
    work = {steps: drawn(4, steps) for steps in ((2, 4) if settings.quick else (5, 10, 20, 40))}
    points = [Point(steps, clocked(one), {"flops": flops_of(one)}) for steps, one in work.items()]
    yield curve("drawing 4 images against steps", "s", "steps", "1", points, settings.rounds, settings.warm_up)


def _distance(settings: Settings) -> Iterator[Measurement]:
    """The whole way: images to features in files, these to Gaussians, these to the distance; and from the files alone."""
    counts = (1024, 2048) if settings.quick else (1024, 4096, 16384)
    extractor = DigitsExtractor().to(settings.device)
    chance = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (max(counts), 1, 8, 8), dtype=torch.uint8, generator=chance)
    sets = {n: ArrayImages(pixels[:n]) for n in counts}
    reference = gaussian_of(embed(sets[min(counts)], extractor, settings.scratch / "reference"), "spatial")

    def distance(features: FeatureSet) -> float:
        return frechet_distance(reference, gaussian_of(features, "spatial")).distance

    def afresh(images: ArrayImages) -> None:
        folder = settings.scratch / "afresh"
        shutil.rmtree(folder, ignore_errors=True)
        distance(embed(images, extractor, folder))

    points = [Point(n, clocked(lambda images=images: afresh(images))) for n, images in sets.items()]
    whole = "distance of 512 dimensions, with its features, against images"
    yield curve(whole, "s", "images", "1, less the distance", points, settings.rounds, settings.warm_up)
    # features lie in mapped files, which are no memory of the process: what is counted is what comes on top
    kept = {n: embed(images, extractor, settings.scratch / "kept") for n, images in sets.items()}
    points = [Point(n, _mebibytes(lambda one=one: distance(one))) for n, one in kept.items()]
    yield curve(
        "memory of a distance of 512 dimensions against images", "MiB", "images", "0", points, rounds=1, warm_up=0
    )
    points = [Point(d, clocked(_distance_of(d))) for d in _dimensions(settings)]
    yield curve(
        "distance of two Gaussians against dimensions",
        "s",
        "dimensions",
        "3",
        points,
        settings.rounds,
        settings.warm_up,
    )


def _dimensions(settings: Settings) -> Sequence[int]:
    return (32, 64) if settings.quick else (256, 512, 1024, 2048)


def _distance_of(dimensions: int) -> Callable[[], object]:
    gaussians = []
    for seed in range(2):
        moments = Moments(dimensions)
        moments.update(torch.randn(dimensions + 100, dimensions, generator=torch.Generator().manual_seed(seed)))
        gaussians.append(moments.gaussian())
    return lambda: frechet_distance(*gaussians)


def _mebibytes(work: Callable[[], object]) -> Callable[[], float]:
    return lambda: peak_of(work) / MIB
