"""Frechet distance within classes, averaged over them: "intra-FID" (Miyato and Koyama 2018, "cGANs with Projection Discriminator").

    (1 / C) sum_c d^2(samples of class c, real images of class c)

It sees what the distance of whole sets does not: images of the wrong class, and little variety within one. A class has few images, so the
value is far above the limit of many; compare it at equal numbers per class alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.metrics.bootstrap import frechet_replicates, standard_error
from difflab.metrics.extractor import Identity
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.frechet import TooFewImagesWarning, frechet_distance
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.moments import Gaussian, gaussian_of


class ClassFrechet(Metric):
    """class_fd, class_fd_digits ...: over the classes of the reference."""

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named("class_fd"): MetricInfo(
                higher_is_better=False, ratio=True, label=identity.label("class FD", "class FID")
            )
        }

    def needs(self) -> Needs:
        return Needs(reference_columns=frozenset({"features"}), reference_features=True, labels=True, references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
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
