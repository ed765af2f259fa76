"""An evaluation from its options to its results: parts are built and everything is checked before any work, then measured and written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difflab.config.build import build, resolved
from difflab.config.groups import ConfigError
from difflab.data.dataset import LabelledSource
from difflab.data.decoded import seen_in
from difflab.data.subset import at_most, spread
from difflab.distributed import Processes
from difflab.evaluation.bits_per_dim import measure_likelihood
from difflab.evaluation.evaluator import NOTHING_TO_COMPARE_WITH, Evaluator
from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.published import compare_with_targets, published_table, read_targets
from difflab.evaluation.reference import ReferenceSource, reference_of_file
from difflab.evaluation.results import Results, results_table
from difflab.evaluation.sources import EvaluatedImages
from difflab.evaluation.torch_fidelity import check_possible, compare, comparison
from difflab.features import FeatureExtractor, FeatureSet, best_available
from difflab.features.embed import copies_of, copies_within, digests_of_all
from difflab.files import write_text
from difflab.metrics import FeatureMetric, Replicates


def computable(metrics: Mapping[str, Any], extractor: FeatureExtractor) -> tuple[dict[str, Any], list[str]]:
    """Leaves out metrics that an extractor has no features for, of those that nobody has asked for.

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


def check(evaluator: Evaluator, shape: tuple[int, ...], count: int, has_labels: bool) -> list[str]:
    """To be called before any work.

    Args:
        evaluator: Will measure the images.
        shape: [C, *size] of the images.
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
        metric.needs().check(metric.names(identity)[0], identity, count, has_labels, columns, there, labelled)
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


def notes_on(evaluator: Evaluator, images: LabelledSource, features: FeatureSet) -> list[str]:
    """What one should know before one believes the numbers of these images, as how many are there twice, or in the reference too."""
    digests = features.digests if features.digests is not None else digests_of_all(images, evaluator.extractor)
    notes, known = list(evaluator.notes), evaluator.reference_digests
    if repeated := copies_within(digests):
        notes.append(f"{repeated} of the {len(digests)} samples repeat an earlier one, pixel by pixel")
    if evaluator.source is not None and images.fingerprint == evaluator.source.fingerprint:
        notes.append("the samples are the reference's images")
    elif known is not None and (shared := copies_of(digests, known)):
        notes.append(f"{shared} of the {len(digests)} samples equal an image of the reference, pixel by pixel")
    return notes


def _size(shape: tuple[int, ...]) -> str:
    channels, *size = shape
    return f"{'x'.join(map(str, reversed(size))) or 'points'} in {'grey' if channels == 1 and size else f'{channels} channels'}"


def build_evaluator(options: EvaluationOptions, images: EvaluatedImages, halved: bool = False) -> Evaluator:
    """Metrics, extractor and reference, built and checked for the images that there will be.

    Args:
        options: Of the command.
        images: That will be measured.
        halved: Whether the halves of them are measured too.

    Raises:
        ValueError: Something is wrong, or does not go together.
    """
    if options.bits_per_dim and images.model is None:
        raise ConfigError("bits_per_dim measures a model: give checkpoint=..., not samples=...")
    if options.bits_per_dim and images.space.models:
        raise ConfigError(
            "bits_per_dim: the bits of latents are not those of the images that they stand for: leave it out"
        )
    images.earlier()
    data = options.data or (None if images.model is None else images.model.get("data"))
    extractor = extractor_of(options, images.model, data)
    if options.reference is not None:
        if options.data is not None:
            raise ConfigError("reference=... and data=... are two references: give one of them")
        path, count = str(options.reference), options.reference_images
        source = reference_of_file(path, count, options.limits, extractor)
    elif options.data is not None:
        dataset = at_most(build(options.dataset), options.data.get("max_images"))
        source = ReferenceSource.of(spread(dataset, options.reference_images))
    elif data is not None:
        source = ReferenceSource.of(spread(seen_in(images.space, images.trained_on()), options.reference_images))
    else:
        source = None
    evaluator = chosen_evaluator(options, extractor, source)
    count = images.count // 2 if halved else images.count
    evaluator.prepare(images.count, images.pairs)
    evaluator.notes += check(evaluator, images.shape, count, images.has_labels)
    if options.check:
        check_possible(evaluator)
    for note in evaluator.notes:
        warnings.warn(note, stacklevel=2)
    return evaluator


def chosen_evaluator(
    options: EvaluationOptions, extractor: FeatureExtractor, source: ReferenceSource | None
) -> Evaluator:
    """The metrics that the command chooses, with extractor and reference."""
    chosen = options.metric or {}
    if not chosen and not options.bits_per_dim:
        raise ConfigError("metric=[] leaves nothing to measure: choose some of conf/metric, or bits_per_dim=N")
    if 0 < options.replicates < 4:
        raise ConfigError(f"replicates={options.replicates} are too few for a standard error: use 100, or 0 for none")
    if source is None and options.bits_per_dim:
        raise ConfigError(NOTHING_TO_COMPARE_WITH)
    metrics, left_out = build(chosen), list[str]()
    if "metric" not in options.typed:
        metrics, left_out = computable(metrics, extractor)
    features = None if options.features is None else str(options.features)
    evaluator = Evaluator(metrics, extractor, source, Replicates(options.replicates), options.batch_size, features)
    evaluator.notes += left_out
    return evaluator


def extractor_of(options: EvaluationOptions, model: Mapping[str, Any] | None, data: Any) -> FeatureExtractor:
    """The extractor that the command names, else the run's, else the best that suits the data and is at hand.

    Args:
        options: Of the command.
        model: The model's configuration; None where there is no model.
        data: Node of the data that the images are compared with; None where there is none.
    """
    dataset = "" if data is None else str(data["dataset"]["_target_"])
    if options.extractor is not None:  # the best available one asks what the data are
        around = {"extractor": options.extractor, "data": {"dataset": {"_target_": dataset}}}
        return build(resolved(around, "extractor"))
    if model is not None and model.get("extractor") is not None:
        return build(model["extractor"])
    return best_available(dataset)


@dataclass(frozen=True)
class Measured:
    """What was measured of one set of images.

    Attributes:
        images: Which they are.
        evaluator: By which they were measured.
        features: Of the images; None if none were drawn, for bits per dimension alone.
        results: The numbers.
    """

    images: EvaluatedImages
    evaluator: Evaluator
    features: FeatureSet | None
    results: Results


def measure(
    options: EvaluationOptions, images: EvaluatedImages, evaluator: Evaluator, processes: Processes
) -> Measured:
    """Draws, embeds and measures the images, and writes the numbers to <folder>/results.json. All processes must call it.

    What metrics warn of is kept there as notes, which everybody who shows the numbers can tell: a log is read by few.

    Returns:
        The numbers of process 0; other processes have none.
    """
    features, found, notes, about = None, [], [], images.about
    try:
        if evaluator.metrics or evaluator.of_images:
            there = images.images(processes)
            if evaluator.metrics:
                features = evaluator.embed(there, processes, "samples")
                evaluator.load(processes)
                if processes.rank == 0:
                    with warnings.catch_warnings(record=True) as warned:
                        warnings.simplefilter("always")
                        found = evaluator.measure(features, images.fields)
                    if options.check:
                        about["torch_fidelity"] = compare(evaluator, there, found, processes.device)
                    notes = [*notes_on(evaluator, there, features), *dict.fromkeys(str(one.message) for one in warned)]
            if evaluator.of_images:
                evaluator.of_images.prepare(images.count, images.pairs)
                evaluator.of_images.to(processes.device)
                found = found + evaluator.of_images.measure(there, images.fields)
        else:
            processes.start()
        if options.bits_per_dim and images.job is not None:
            number, terms = measure_likelihood(
                options.likelihood_of(images.job.config), options.bits_per_dim, images.job, evaluator, processes
            )
            found.append(number)
            about[number.metric] = terms.to_dict()
        if notes:
            about["notes"] = notes
        results = Results(found, about)
        if processes.rank == 0:
            write_text(images.file, _together(images.earlier(), results).to_json())
    finally:
        images.end()
    return Measured(images, evaluator, features, results)


def _together(earlier: Results, results: Results) -> Results:
    """With what was measured before under other protocols."""
    now = {(m.metric, m.protocol.fingerprint) for m in results.measurements}
    before = [m for m in earlier.measurements if (m.metric, m.protocol.fingerprint) not in now]
    notes = [*earlier.subject.get("notes", []), *results.subject.get("notes", [])]
    about = {"notes": list(dict.fromkeys(notes))} if notes else {}
    return Results([*before, *results.measurements], earlier.subject | results.subject | about)


def show(measured: Measured) -> None:
    """Prints the numbers, what was published of them, and where they are."""
    images, results = measured.images, measured.results
    print(results_table(results, images.name))
    if images.model is not None and images.model.get("target"):
        targets = read_targets(images.model["target"])
        compared = compare_with_targets(results, targets, images.about.get("step"))
        missing = [target for target in targets if target.metric not in {m.metric for m in results.measurements}]
        print(published_table(compared, missing))
    if "torch_fidelity" in images.about:
        print(comparison(images.about["torch_fidelity"]))
    for note in images.about.get("notes", []):
        print(f"note     {note}")
    print(f"results  {images.file}")
