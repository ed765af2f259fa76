"""The parts of an evaluation from its options, checked before any work."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from omegaconf import DictConfig

from difflab.config.build import build
from difflab.config.groups import is_chosen
from difflab.config.keys import ConfigError
from difflab.config.values import FileOrFolder, Limits, Matching, Natural, Several, Word
from difflab.data.dataset import LabelledSource
from difflab.data.subset import at_most, spread
from difflab.evaluation.evaluator import NOTHING_TO_COMPARE_WITH, Evaluator
from difflab.evaluation.reference_source import ReferenceSource, reference_of_file
from difflab.evaluation.sources import Subject
from difflab.evaluation.torch_fidelity import check_possible
from difflab.features import FeatureExtractor, FeatureSet
from difflab.features.embed import copies_of, copies_within, digests_of_all
from difflab.features.extractor import Identity
from difflab.metrics import FeatureMetric, Replicates


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
        raise ValueError(f"{name} needs at least {needs.samples} samples, num_samples={num_samples}")
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


class MeasuringValues(TypedDict):
    """What the values have to be that say how images are measured."""

    replicates: Natural
    bits_per_dim: Natural
    reference_images: Several | None
    samples_images: Several | None
    value_range: Limits | None
    reference: FileOrFolder | None
    samples: FileOrFolder | None
    select: Annotated[Word, Matching("the name of a metric")] | None
    check: Annotated[Word, Matching("torch_fidelity", "torch_fidelity")] | None


def evaluator_of(config: DictConfig, subject: Subject, halved: bool = False) -> Evaluator:
    """Everything is built, and checked for the images that there will be.

    Args:
        config: The command's.
        subject: The images.
        halved: Whether the halves of the samples are measured too.
    """
    if config.bits_per_dim and subject.model is None:
        raise ConfigError("bits_per_dim measures a model: give checkpoint=..., not samples=...")
    subject.earlier()
    model = subject.model
    data = config.get("data") or (None if model is None else model.get("data"))
    extractor = extractor_of(config.get("extractor"), model, data)
    if config.reference is not None:
        if config.get("data") is not None:
            raise ConfigError("reference=... and data=... are two references: give one of them")
        source = reference_of_file(config, extractor)
    elif data is not None:
        dataset = (
            at_most(build(data["dataset"]), data.get("max_images")) if config.get("data") else subject.trained_on()
        )
        images = spread(dataset, config.reference_images)
        source = ReferenceSource(images, None, images.fingerprint)
    else:
        source = None
    evaluator = chosen_evaluator(config, extractor, source)
    count = subject.count // 2 if halved else subject.count
    evaluator.prepare(subject.count, subject.pairs)
    evaluator.known += check(evaluator, subject.shape, count, subject.has_labels)
    if config.check:
        check_possible(evaluator)
    for note in evaluator.known:
        warnings.warn(note, stacklevel=2)
    return evaluator


def chosen_evaluator(config: DictConfig, extractor: FeatureExtractor, source: ReferenceSource | None) -> Evaluator:
    """The metrics that the command chooses, with extractor and reference."""
    chosen = config.get("metric") or {}
    if not chosen and not config.bits_per_dim:
        raise ConfigError("metric=[] leaves nothing to measure: choose some of conf/metric, or bits_per_dim=N")
    if 0 < config.replicates < 4:
        raise ConfigError(f"replicates={config.replicates} are too few for a standard error: use 100, or 0 for none")
    if source is None and config.bits_per_dim:
        raise ConfigError(NOTHING_TO_COMPARE_WITH)
    metrics, left_out = build(chosen), list[str]()
    if not is_chosen("metric"):
        metrics, left_out = served(metrics, extractor)
    replicates = Replicates(config.replicates)
    evaluator = Evaluator(metrics, extractor, source, replicates, config.batch_size, config.features)
    evaluator.known += left_out
    return evaluator


def extractor_of(
    asked: Mapping[str, Any] | None, model: Mapping[str, Any] | None, data: Mapping[str, Any] | None
) -> FeatureExtractor:
    """The extractor that a command names, else the run's, else the best that suits the data and is at hand.

    Args:
        asked: The command's node of an extractor.
        model: The configuration of the run.
        data: The node of the data that are compared with.
    """
    if asked is not None:
        if "dataset" in asked and data is None:  # the best available one asks what the data are
            return build(asked, dataset="")
        return build(asked)
    if model is not None and model.get("extractor") is not None:
        return build(model["extractor"])
    from difflab.features import best_available

    return best_available("" if data is None else str(data["dataset"]["_target_"]))
