"""What must be true before images are measured, and what one should know beside their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difflab.data.dataset import LabelledSource
from difflab.evaluation.evaluator import Evaluator
from difflab.features import FeatureExtractor, FeatureSet
from difflab.features.embed import copies_of, copies_within, digests_of_all
from difflab.features.extractor import Identity
from difflab.metrics import FeatureMetric


def served(metrics: Mapping[str, Any], extractor: FeatureExtractor) -> tuple[dict[str, Any], list[str]]:
    """Leaves out metrics that an extractor does not serve, of those that nobody has asked for.

    Returns:
        The others, and a line on each that is left out.
    """
    identity = extractor.identity
    kept, notes = dict[str, Any](), list[str]()
    for name, metric in metrics.items():
        lacking = sorted(metric.needs().columns - set(identity.columns)) if isinstance(metric, FeatureMetric) else []
        if lacking:
            notes.append(
                f"{metric.names(identity)[0]} is left out: the extractor {identity.name} has not what it needs ({', '.join(lacking)})"
            )
        else:
            kept[name] = metric
    return kept, notes


def check(evaluator: Evaluator, shape: tuple[int, int, int], count: int, has_labels: bool) -> list[str]:
    """To be called before any work.

    Args:
        evaluator: Will measure the images.
        shape: [C, H, W] of the images.
        count: How many there will be at least in a set that is measured.
        has_labels: Whether each has a class.

    Returns:
        What one should know of all numbers.

    Raises:
        ValueError: One of the metrics cannot be computed from what there will be.
    """
    identity, source = evaluator.extractor.identity, evaluator.source
    images = None if source is None else source.images
    columns = frozenset((source.statistics if source else None) or identity.columns)
    labelled = images is not None and images.labels is not None
    there = None if images is None else len(images)
    for metric in evaluator.metrics:
        _check_reference_size(metric, identity, there)
        _check_metric(metric, identity, count, has_labels, columns, images is not None, labelled)
    for one in evaluator.of_images.foreign:
        if one.needs_reference and images is None:
            raise ValueError(
                f"{one.name} needs the reference's images, and there are none: give images, or leave the metric out"
            )
        one.check(shape)
    evaluator.extractor.check(shape)
    notes = [] if source is None or source.note is None else [source.note]
    if images is not None and (size := tuple(images.images([0]).shape[1:])) != shape:
        evaluator.extractor.check(size)
        notes.append(
            f"the samples are {_size(shape)} and the reference's images {_size(size)}: a distance between them is also one "
            "between two sizes"
        )
    return notes


def _check_reference_size(metric: FeatureMetric, identity: Identity, there: int | None) -> None:
    name, needs = metric.names(identity)[0], metric.needs()
    if there is None:
        return
    if min(needs.reference_images or there, there) < needs.references:
        raise ValueError(
            f"{name} needs at least {needs.references} images of the reference, and it has {min(needs.reference_images or there, there)}"
        )
    if (needs.reference_images or 0) > there:
        raise ValueError(
            f"{name} is to be compared with {needs.reference_images:,} images of the reference, and it has {there:,}: set the metric's "
            "reference_images to at most that"
        )


def _check_metric(
    metric: FeatureMetric,
    identity: Identity,
    num_samples: int,
    has_labels: bool,
    reference_columns: frozenset[str],
    reference_has_features: bool,
    reference_has_labels: bool,
) -> None:
    name, needs = metric.names(identity)[0], metric.needs()
    for column in sorted(needs.columns - set(identity.columns)):
        raise ValueError(
            f"{name} needs {column}, which the extractor {identity.name} does not give with these weights: leave the metric out, "
            "or choose an extractor or weights that give them (`difflab weights` lists them)"
        )
    if num_samples < needs.samples:
        raise ValueError(f"{name} needs at least {needs.samples} samples, there are {num_samples}")
    if needs.reference_features and not reference_has_features:
        raise ValueError(
            f"{name} needs the reference's images, and the reference is a file of statistics: give images, or leave the metric out"
        )
    for column in sorted(needs.reference_columns - reference_columns):
        known = ", ".join(sorted(reference_columns)) or "none"
        raise ValueError(f"{name} needs the reference's statistics of {column}; it has {known}")
    if needs.labels and not has_labels:
        raise ValueError(f"{name} needs the samples' classes, and these samples have none")
    if needs.labels and not reference_has_labels:
        raise ValueError(f"{name} needs the classes of the reference's images, and these have none")


def notes_on(evaluator: Evaluator, images: LabelledSource, features: FeatureSet) -> list[str]:
    """What one should know before one believes the numbers of these images, as how many are there twice, or in the reference too."""
    digests = features.digests if features.digests is not None else digests_of_all(images)
    notes, known = list(evaluator.known), evaluator.known_digests
    if repeated := copies_within(digests):
        notes.append(f"{repeated} of the {len(digests)} samples repeat an earlier one, pixel by pixel")
    if evaluator.source is not None and images.fingerprint == evaluator.source.fingerprint:
        notes.append("the samples are the reference's images")
    elif known is not None and (shared := copies_of(digests, known)):
        notes.append(f"{shared} of the {len(digests)} samples equal an image of the reference, pixel by pixel")
    return notes


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} in {'grey' if channels == 1 else f'{channels} channels'}"
