"""The Frechet distance of features: FID with features of Inception (Heusel et al. 2017), and its relatives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TypeVar

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from difflab.features.extractor import Features, FeatureSet, Identity
from difflab.metrics.bootstrap import (
    Frame,
    WeightedMoments,
    at_equal_count,
    frechet_replicates,
    moments_replicates,
    standard_error,
)
from difflab.metrics.gaussian import Gaussian, Moments, TooFewImagesWarning, frechet_distance, gaussian_of
from difflab.metrics.metric import Metric, StreamedMetric
from difflab.metrics.needs import Counterpart, Needs, Reference, Replicates
from difflab.metrics.protocol import MetricInfo
from difflab.noise import ImageNoise


class _Gaussians(StreamedMetric):
    """The distance between the Gaussians of one column of features."""

    higher_is_better = False
    column: str
    count: Tensor
    total: Tensor
    outer: Tensor

    def needs(self) -> Needs:
        columns = frozenset({self.column})
        return Needs(columns=columns, reference_columns=columns, references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def _declare_states(self, identity: Identity, num_images: int) -> None:
        for name, zeros in Moments(identity.columns[self.column]).sums.items():
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, features: Features, index: Int[Tensor, " b"] | None = None, labels: Tensor | None = None) -> None:
        """Adds images to the sums."""
        index = self._numbers(len(features.features), index)
        rows = features._asdict()[self.column].to(self.device)
        Moments.over(self.count, self.total, self.outer).update(rows[index < self.num_images])

    def compute(self) -> dict[str, Tensor]:
        """Name -> distance."""
        mine = Moments.over(self.count, self.total, self.outer).gaussian()
        distance = frechet_distance(mine, self._compared_with().gaussian(self.column)).distance
        assert self.identity is not None
        return {self.names(self.identity)[0]: torch.tensor(distance, dtype=torch.float64)}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        return self._streamed(samples, reference)

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        values = frechet_replicates(samples, self.column, reference.gaussian(self.column), replicates)
        return {self.names(samples.identity)[0]: standard_error(values)}


class Frechet(_Gaussians):
    """fid, fd_digits ...: the Frechet distance of pooled features, see metrics/gaussian.py for the formula.

    torchmetrics' FrechetInceptionDistance is the same number of its own Inception, within 1e-5 (tests/metrics/test_frechet.py). This takes
    the features of any extractor, has a standard error, and keeps its digits where there are fewer images than dimensions.
    """

    column = "features"

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("fd"): self.kind(identity.label("FD", "FID"), ratio=True)}

    @property
    def counterpart(self) -> Counterpart:
        """With fewer images than dimensions the roots of rounding errors make theirs smaller, by 1e-5 of the covariances' traces."""
        return Counterpart({"fid": "frechet_inception_distance"}, {"fid": True}, relative=1e-3, absolute=1e-2)


class SpatialFrechet(_Gaussians):
    """Frechet distance of features that see where things are: sFID (Nash et al. 2021, "Generating Images with Sparse Representations").

    Inception's are the first 7 channels of the last mixed_6 block, 7 x 17 x 17 = 2023 numbers, as guided-diffusion's evaluator takes them.

    sfid, sfd_NAME: the formula of the FID on the column `spatial`.
    """

    column = "spatial"

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("sfd"): self.kind(identity.label("sFD", "sFID"), ratio=True)}


class ClassFrechet(Metric):
    """Frechet distance within classes, averaged over them: "intra-FID" (Miyato and Koyama 2018, "cGANs with Projection Discriminator").

        (1 / C) sum_c d^2(samples of class c, real images of class c)

    It sees what the distance of whole sets does not: images of the wrong class, and little variety within one. A class has few images, so
    the value is far above the limit of many; compare it at equal numbers per class alone.

    class_fd, class_fd_digits ...: over the classes of the reference.
    """

    higher_is_better = False

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("class_fd"): self.kind(identity.label("class FD", "class FID"), ratio=True)}

    def needs(self) -> Needs:
        return Needs(reference_columns=frozenset({"features"}), reference_features=True, labels=True, references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        dimension, distances, smallest = samples.identity.dimension, [], len(samples)
        for rows, real in _classes(samples, reference):
            mine = gaussian_of(samples.select(rows))
            smallest = min(smallest, mine.count, real.count)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TooFewImagesWarning)  # one warning for all classes
                distances.append(frechet_distance(mine, real).distance)
        if smallest < dimension:
            warnings.warn(
                f"a class has only {smallest:,} images for {dimension:,} dimensions of the features: distances within classes are far too "
                "large. Compare them at the same numbers per class alone",
                stacklevel=2,
            )
        return {samples.identity.named("class_fd"): sum(distances) / len(distances)}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        total, classes = torch.zeros(replicates.count, dtype=torch.float64), 0
        for rows, real in _classes(samples, reference):
            total += frechet_replicates(samples.select(rows), "features", real, replicates, number=rows)
            classes += 1
        return {samples.identity.named("class_fd"): standard_error(total / classes)}


def _classes(samples: FeatureSet, reference: Reference) -> Iterator[tuple[Int[Tensor, " m"], Gaussian]]:
    """For each class of the reference: the rows of the samples that are of it, and the Gaussian of the real ones."""
    real = reference.features
    if real is None or real.labels is None or samples.labels is None:
        lacking = "the samples have no labels" if samples.labels is None else "the reference has no images with labels"
        raise ValueError(f"the distance within classes needs a class of every image, but {lacking}")
    classes = real.labels.unique()
    if strangers := sorted(set(samples.labels.unique().tolist()) - set(classes.tolist())):
        raise ValueError(f"samples of class {strangers[0]}, of which the reference has no image")
    counts = [(int(c), int((samples.labels == c).sum()), int((real.labels == c).sum())) for c in classes]
    for c, mine, theirs in counts:
        if min(mine, theirs) < 2:
            raise ValueError(f"class {c} has {mine} samples and {theirs} real images: its covariance needs 2 of each")
    for c, _, _ in counts:
        rows, rows_of_real = ((labels == c).nonzero()[:, 0] for labels in (samples.labels, real.labels))
        yield rows, gaussian_of(real.select(rows_of_real))


Sums = TypeVar("Sums", Moments, WeightedMoments)


class FrechetInfinity(Metric):
    """Frechet distance in the limit of infinitely many samples (Chong and Forsyth 2020, "Effectively Unbiased FID and Inception Score").

        E d^2(N) = d^2(infinity) + slope / N + O(1 / N^2)

    A least-squares line through d^2(n) against 1/n at n = N, N/2, N/4 ... ends at 1/n = 0. The paper draws one subset of each of 15
    sizes. Here a seeded partition of the images gives 2^j disjoint subsets of N / 2^j, over which d^2 is averaged: what one image adds to
    first order is then the same at every n and cancels from the slope, which leaves a fraction of the paper's noise for seven distances
    instead of fifteen.

    The bias of the reference is another one, and stays. Below n = 2 D the 1/N^2 term shows; the paper's smallest subset has 5,000 images.

    fid_inf, fd_inf_digits ...

    Args:
        halvings: How often the set is halved: the line goes through halvings + 1 sizes.
        smallest_subset: Images that the smallest subsets must have at least.
        seed: Of the partition.
    """

    higher_is_better = False
    plot_lower_bound = None  # an estimate, which chance makes negative where the truth is near 0

    def __init__(self, halvings: int = 2, smallest_subset: int = 5000, seed: int = 0):
        if halvings < 1 or smallest_subset < 2:
            raise ValueError(
                f"halvings={halvings} and smallest_subset={smallest_subset}: a line needs 1 halving, a covariance 2 images"
            )
        super().__init__()
        self.halvings, self.smallest_subset, self.seed = halvings, smallest_subset, seed

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("fd_inf"): self.kind(identity.label("FD∞", "FID∞"))}

    def needs(self) -> Needs:
        return Needs(
            reference_columns=frozenset({"features"}), samples=self.smallest_subset * 2**self.halvings, references=2
        )

    def protocol(self) -> dict[str, str | int | float]:
        return {"halvings": self.halvings, "seed": self.seed}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        frame, group = reference.gaussian("features"), self._partition(len(samples))
        subsets = [Moments(samples.identity.dimension) for _ in range(2**self.halvings)]
        for start, rows in samples.chunks("features"):
            of_row = group[start : start + len(rows)]
            for g, moments in enumerate(subsets):
                moments.update(rows[of_row == g])
        means = []
        for level in _levels(subsets):
            distances = [frechet_distance(moments.gaussian(), frame).distance for moments in level]
            means.append(torch.tensor(distances, dtype=torch.float64).mean())
        return {samples.identity.named("fd_inf"): self._at_infinity(torch.stack(means)[:, None]).item()}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """By the bootstrap of the whole procedure on the same partition."""
        frame, group = Frame.of(reference.gaussian("features"), samples, "features"), self._partition(len(samples))
        blocks = moments_replicates(samples, "features", frame, replicates, group=group)
        sets = [[subset for level in _levels(subsets) for subset in level] for subsets in blocks]
        # of each of the subsets, from the smallest to the whole, all replicates
        values = [
            at_equal_count(torch.cat([s.distances(frame) for s in subset]), torch.cat([s.count for s in subset]))
            for subset in zip(*sets, strict=True)
        ]
        sizes = [2**j for j in range(self.halvings, -1, -1)]
        means = torch.stack([level.mean(dim=0) for level in torch.stack(values).split(sizes)])
        return {samples.identity.named("fd_inf"): standard_error(self._at_infinity(means))}

    def _partition(self, n: int) -> Int[Tensor, " n"]:
        """The smallest subset 0 .. 2^halvings - 1 in which each image is."""
        if n < self.smallest_subset * 2**self.halvings:
            raise ValueError(
                f"{n} samples halved {self.halvings} times are subsets of {n // 2**self.halvings}, fewer than smallest_subset="
                f"{self.smallest_subset}: measure more samples or halve less often"
            )
        order = ImageNoise(self.seed, torch.arange(n)).uniform("partition", (1,))[:, 0].argsort(stable=True)
        group = torch.empty(n, dtype=torch.long)
        group[order] = torch.arange(n) * 2**self.halvings // n
        return group

    def _at_infinity(self, means: Float64[Tensor, "sizes r"]) -> Float64[Tensor, " r"]:
        """The end of the line; means stand in the order of sizes N / 2^halvings ... N / 2, N."""
        one_over_n = 2.0 ** torch.arange(self.halvings, -1, -1, dtype=torch.float64)  # in units of 1 / N
        line = torch.stack([torch.ones_like(one_over_n), one_over_n], dim=1)
        return torch.linalg.lstsq(line, means).solution[0]


def _levels(subsets: list[Sums]) -> Iterator[list[Sums]]:
    """The smallest subsets, their unions in pairs, and so on to the whole set."""
    yield subsets
    while len(subsets) > 1:
        subsets = [a + b for a, b in zip(subsets[::2], subsets[1::2], strict=True)]
        yield subsets
