"""What samples are next to: the nearest training images of eight, and how near all are beside images that were never seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Int
from scipy.stats import betabinom, binomtest
from torch import Tensor

from difflab.config.build import build
from difflab.data.decoded import seen_in
from difflab.data.file_store import cache_directory
from difflab.data.subset import spread
from difflab.explaining.drawing import axes_for, png_of, rows_of_images
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.features import FeatureExtractor, best_available
from difflab.features.embed import embed
from difflab.pictures import COLOUR_BLIND_SAFE
from difflab.sampling.drawer import Drawer

SHOWN, NEIGHBOURS = 8, 3
TRAINED, JUDGED = 10_000, 2_000
"""Training images that are searched, and images whose distances samples' are compared with, at most."""

NEAR = 0.01
"""Share of the images that were not seen, below whose distance a sample is called near."""

SPARE = 4
"""Candidates beyond those that are asked for, whose distances are taken again from the differences."""


class Memorisation(Look):
    """Distances in the features by which the run is judged."""

    name, title = "memorisation", "Nearest training images"

    def suits(self, subject: Subject) -> str:
        return subject.no_data

    def __call__(self, subject: Subject) -> Finding:
        training = spread(seen_in(subject.space, subject.trained), min(TRAINED, len(subject.trained)))
        extractor = _extractor(subject)
        known = _embedded(training, extractor)
        samples = _drawn(subject, subject.job.options.num_samples)
        distances, which = nearest(_features(samples, extractor), known, min(NEIGHBOURS, len(known)))
        if subject.held_out is None:
            index = torch.arange(min(JUDGED, len(known))) * len(known) // min(JUDGED, len(known))
            others, of = nearest(known[index], known, 1, index)[0][:, 0], "each training image to the nearest other one"
        else:
            held_out = spread(seen_in(subject.space, subject.held_out), min(JUDGED, len(subject.held_out)))
            others, of = nearest(_embedded(held_out, extractor), known, 1)[0][:, 0], "held-out images"
        share = share_below(distances[:, 0], others)
        text = [
            f"{len(samples):,} samples, and of each the nearest of {len(known):,} training images by the features of "
            f"{extractor.identity.name}. Beside their distances stand those of {len(others):,} {of}"
            + (": the run has kept no images from training. " if subject.held_out is None else ". ")
            + "A model that repeats what it has seen draws samples that are nearer than images that it has not seen.",
            f"{share.count} of {share.of:,} samples, {100 * share.value:.1f} % (95 % interval {100 * share.low:.1f} to "
            f"{100 * share.high:.1f} %, by Wilson), are nearer to a training image than the nearest {100 * NEAR:g} % of those images are. "
            f"If they were as new as those images it would be between {100 * share.expected[0]:.1f} and {100 * share.expected[1]:.1f} % in "
            "95 of 100 cases.",
        ]
        pictures = [] if subject.no_pictures else [_pairs(samples, training, distances, which)]
        pictures.append(_histogram(distances[:, 0], others, share.below, of))
        return Finding(text, pictures)


@dataclass(frozen=True)
class Share:
    """How many of the samples are near.

    Attributes:
        count: So many are nearer than `below`.
        of: Samples.
        low: Of the 95 % interval of their share, by Wilson (1927).
        high: Likewise.
        expected: Between which shares it would be, in 95 of 100 cases, if samples were drawn from what the others are drawn from.
        below: The distance below which one is near.
    """

    count: int
    of: int
    low: float
    high: float
    expected: tuple[float, float]
    below: float

    @property
    def value(self) -> float:
        return self.count / self.of


def share_below(distances: Float64[Tensor, " n"], others: Float64[Tensor, " m"]) -> Share:
    """The share of distances below the r-th smallest of the others, r = NEAR m.

    Of n draws from the distribution that the m others are drawn from, a beta-binomial number with parameters (n, r, m - r + 1) is below it:
    the limit is itself known from r images only.
    """
    m, n = len(others), len(distances)
    rank = max(1, round(NEAR * m))
    below = others.kthvalue(rank).values.item()
    count = int((distances < below).sum())
    interval = binomtest(count, n).proportion_ci(method="wilson")
    expected = betabinom(n, rank, m - rank + 1).interval(0.95)
    least, most = (float(end) / n for end in expected)
    return Share(count, n, float(interval.low), float(interval.high), (least, most), below)


def nearest(
    queries: Float[Tensor, "n d"], known: Float[Tensor, "m d"], count: int, own: Int[Tensor, " n"] | None = None
) -> tuple[Float64[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Distances of each query to its nearest among those that are known, rising, and which these are.

    Args:
        queries: Features.
        known: Those that are searched.
        count: k.
        own: Which of the known ones each query is itself, and is not compared with; None if it is none.
    """
    origin = known.double().mean(0)
    a, b = queries.double() - origin, known.double() - origin
    distances, which = [], []
    for start in range(0, len(a), 256):
        rows = a[start : start + 256]
        squares = rows.square().sum(1)[:, None] + b.square().sum(1) - 2 * rows @ b.T
        if own is not None:
            squares[torch.arange(len(rows)), own[start : start + 256]] = torch.inf
        candidates = squares.topk(min(count + SPARE, len(b)), largest=False).indices
        exact = (rows[:, None] - b[candidates]).square().sum(2)  # which is 0 for an image and itself
        if own is not None:
            exact[candidates == own[start : start + 256, None]] = torch.inf
        exact, order = exact.sort(dim=1, stable=True)
        distances.append(exact[:, :count].sqrt())
        which.append(candidates.gather(1, order)[:, :count])
    return torch.cat(distances), torch.cat(which)


def _extractor(subject: Subject) -> FeatureExtractor:
    """The run's own, else the best one for its data that is at hand."""
    config = subject.job.model.config
    node = config.get("extractor")
    extractor = best_available(str(config["data"]["dataset"]["_target_"])) if node is None else build(node)
    extractor.check(subject.job.image_shape)
    return extractor.to(subject.device)


def _embedded(images: Any, extractor: FeatureExtractor) -> Tensor:
    return embed(images, extractor, cache_directory("features")).column("features")


def _features(images: Tensor, extractor: FeatureExtractor) -> Tensor:
    parts = [extractor(extractor.admitted(part)).features for part in images.split(256)]
    return torch.cat([part.float().cpu() for part in parts])


def _drawn(subject: Subject, count: int) -> Tensor:
    """Images of the first seeds, as sample.py draws them."""
    draw = Drawer(subject.job, subject.device)
    batches = subject.seeds(count).split(subject.job.options.batch_size)
    return torch.cat([draw(seeds, subject.cond(seeds)).cpu() for seeds in batches])


def _pairs(samples: Tensor, training: Any, distances: Tensor, which: Tensor) -> Picture:
    count = min(SHOWN, len(samples))
    found = training.images(which[:count].flatten().tolist()).cpu().unflatten(0, which[:count].shape)
    rows = [list(samples[:count]), *(list(found[:, k]) for k in range(which.shape[1]))]
    beside = ["sample", "nearest", "second", "third"][: len(rows)]
    png = rows_of_images(rows, [f"{d:.3g}" for d in distances[:count, 0].tolist()], beside)
    says = f"{count} samples, each above the {which.shape[1]} training images that are nearest to it"
    return Picture("memorisation_pairs", png, says, "Above: the distance from a sample to the nearest one.")


def _histogram(distances: Tensor, others: Tensor, below: float, of: str) -> Picture:
    figure, axes = axes_for(6.4, 3.4)
    both = torch.cat([distances, others])
    high = max(float(both.max()), 1e-9) * 1.02
    low = max(float(both[both > 0].min()) if (both > 0).any() else high / 10, high / 1e4)
    bins = torch.logspace(math.log10(low), math.log10(high), 41, dtype=torch.float64).tolist()
    kept, drawn = COLOUR_BLIND_SAFE[0], COLOUR_BLIND_SAFE[1]
    axes.hist(others.clamp(min=bins[0]).tolist(), bins, weights=_each(others), color=kept, alpha=0.4, label=of)
    weights = _each(distances)
    axes.hist(
        distances.clamp(min=bins[0]).tolist(),
        bins,
        weights=weights,
        histtype="step",
        linewidth=2,
        color=drawn,
        label="samples",
    )
    axes.axvline(below, color="black", linestyle="--", linewidth=1, label=f"nearest {100 * NEAR:g} % of the former")
    axes.set_xlabel("distance to the nearest training image")
    axes.set_xscale("log")
    ticks = torch.logspace(math.log10(low), math.log10(high), 6, dtype=torch.float64)[1:-1].tolist()
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel("share of the images [%]")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    says = f"histograms of the distances of samples and of {of} to the nearest training image"
    return Picture("memorisation_distances", png_of(figure), says, "The horizontal axis is logarithmic.")


def _each(distances: Tensor) -> list[float]:
    """What each counts, in per cent."""
    return [100 / len(distances)] * len(distances)
