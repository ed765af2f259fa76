"""How images are evaluated: metrics, extractor and reference, put together and checked before any work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

from omegaconf import DictConfig

from difflab.config.build import build
from difflab.config.groups import is_chosen
from difflab.config.keys import ConfigError
from difflab.config.values import FileOrFolder, Limits, Matching, Natural, Several, Word
from difflab.data.dataset import LabelledSource
from difflab.data.file_store import cache_directory
from difflab.data.subset import at_most, spread
from difflab.distributed import Processes
from difflab.evaluation.measure import check, measure, needs_reference, shared_fields
from difflab.evaluation.pair_scores import PairScores, measure_pairs
from difflab.evaluation.reference import (
    FeatureReference,
    NoReference,
    PublishedStatistics,
    ReferenceBatch,
    ReferenceStatistics,
)
from difflab.evaluation.reference_source import ReferenceSource, reference_of_file
from difflab.evaluation.results import Measurement
from difflab.evaluation.sources import Subject
from difflab.features import FeatureExtractor, FeatureSet
from difflab.features.embed import copies_of, copies_within, digests_of_all, embed
from difflab.metrics import Metric, Needs, PairMetric, Reference, Replicates, check_pairs
from difflab.runtime.progress import Progress


class MeasuringValues(TypedDict):
    replicates: Natural
    bits_per_dim: Natural
    reference_images: Several | None
    samples_images: Several | None
    value_range: Limits | None
    reference: FileOrFolder | None
    samples: FileOrFolder | None
    select: Annotated[Word, Matching("the name of a metric")] | None


"""What the values have to be that say how images are measured."""


class Judge:
    """Metrics with all that they need. The extractor runs on the device of the processes.

    metrics       name -> metric of the set
    pair_metrics  of each image and what it was drawn for
    extractor  of samples and reference
    source     of the reference; None if no metric looks at one
    """

    def __init__(self, config: DictConfig, extractor: FeatureExtractor, source: ReferenceSource | None):
        chosen = config.get("metric") or {}
        if not chosen and not config.bits_per_dim:
            raise ConfigError("metric=[] leaves nothing to measure: choose some of conf/metric, or bits_per_dim=N")
        parts = list(build(chosen).values())
        self.metrics: list[Metric] = [part for part in parts if isinstance(part, Metric)]
        self.pair_metrics: list[PairMetric] = [part for part in parts if isinstance(part, PairMetric)]
        if strangers := [type(part).__name__ for part in parts if not isinstance(part, Metric | PairMetric)]:
            raise ConfigError(
                f"{', '.join(strangers)} is no metric: derive it from difflab.metrics.Metric or PairMetric"
            )
        self.left_out = [] if is_chosen("metric") else self._leave_out(extractor)
        self.extractor, self.source = extractor, source
        self._replicates = Replicates(config.replicates)
        if config.replicates and config.replicates < 4:
            raise ConfigError(
                f"replicates={config.replicates} are too few for a standard error: use 100, or 0 for none"
            )
        self._batch_size = config.batch_size
        self._features = Path(config.features or cache_directory("features"))
        infos = [metric.info(extractor.identity) for metric in self.metrics]
        every = [*(name for info in infos for name in info), *(metric.name for metric in self.pair_metrics)]
        if twice := sorted({name for name in every if every.count(name) > 1}):
            raise ConfigError(f"{', '.join(twice)}: two of the metrics give this number; choose one of them")
        self.info = {name: info for each in infos for name, info in each.items()}
        self._loaded: dict[int | None, Reference] = {}
        self._notes = [*self.left_out, *([] if source is None or source.note is None else [source.note])]
        if source is None and (config.bits_per_dim or any(needs_reference(metric) for metric in self.metrics)):
            raise ConfigError(
                "there is nothing to compare with: give reference=FILE (images or statistics) or data=NAME (a data set)"
            )

    def _leave_out(self, extractor: FeatureExtractor) -> list[str]:
        """Drops metrics that nobody has asked for and that this extractor does not serve; says of each that it did."""
        identity = extractor.identity
        lacking = [(metric, sorted(metric.needs().columns - set(identity.columns))) for metric in self.metrics]
        self.metrics = [metric for metric, columns in lacking if not columns]
        return [
            f"{metric.names(identity)[0]} is left out: the extractor {identity.name} has not what it needs ({', '.join(columns)})"
            for metric, columns in lacking
            if columns
        ]

    def check(self, subject: Subject, halved: bool) -> None:
        """Raises a ValueError if something will not do for this subject, or for its halves."""
        check_pairs(self.pair_metrics, subject.pairs)
        images = self.source.images if self.source else None
        columns = frozenset((self.source.statistics if self.source else None) or self.extractor.identity.columns)
        labelled = images is not None and images.labels is not None
        for metric in self.metrics:
            needs = metric.needs()
            wanted = needs.reference_images
            there = None if images is None else min(wanted or len(images), len(images))
            if there is not None and there < needs.references:
                name = metric.names(self.extractor.identity)[0]
                raise ConfigError(
                    f"{name} needs at least {needs.references} images of the reference, and it has {there}"
                )
            if wanted is not None and images is not None and wanted > len(images):
                raise ConfigError(
                    f"{metric.names(self.extractor.identity)[0]} is to be compared with {wanted:,} images of the reference, and it has "
                    f"{len(images):,}: set the metric's reference_images to at most that"
                )
        usable = subject.count // 2 if halved else subject.count
        identity = self.extractor.identity
        check(self.metrics, identity, usable, subject.has_labels, columns, images is not None, labelled)
        self.extractor.check(subject.shape)
        if images is not None and (size := tuple(images.images([0]).shape[1:])) != subject.shape:
            self.extractor.check(size)
            self._notes.append(
                f"the samples are {_size(subject.shape)} and the reference's images {_size(size)}: a distance between them is also one "
                "between two sizes"
            )
        for note in self._notes:
            warnings.warn(note, stacklevel=2)

    def _setting(self, count: int | None) -> dict[str, Any]:
        """The fields of the protocol that all metrics share which are compared with so many images, whatever the samples."""
        return shared_fields(self.extractor, self.source.limited(count).fields if self.source else {})

    def embed(self, images: LabelledSource, processes: Processes, what: str) -> FeatureSet:
        """The features of images. All processes must call it."""
        self.extractor.to(processes.device)
        with _progress(images, processes, f"{self.extractor.identity.name} features of the {what}") as advance:
            return embed(images, self.extractor, self._features, self._batch_size, advance)

    def load(self, processes: Processes) -> None:
        """Embeds the reference, or takes from the cache what is known of it. All processes must call it."""
        needs = [metric.needs() for metric in self.metrics]
        for count in dict.fromkeys(need.reference_images for need in needs):
            if count not in self._loaded:
                alike = [need for need in needs if need.reference_images == count]
                self._loaded[count] = self._reference(count, alike, processes)

    def _reference(self, count: int | None, needs: Sequence[Needs], processes: Processes) -> Reference:
        """What metrics with these needs are compared with: so many images, or all that there is."""
        source = self.source.limited(count) if self.source else ReferenceSource(None, None, "")
        images, statistics = source.images, source.statistics
        columns = frozenset[str]().union(*(need.reference_columns for need in needs))
        if any(need.reference_features for need in needs) and images is not None:
            features = self.embed(images, processes, "reference")
            return (
                FeatureReference(features)
                if statistics is None
                else ReferenceBatch(PublishedStatistics(statistics), features)
            )
        if statistics is not None:
            return PublishedStatistics(statistics)
        if images is None or not columns:
            return NoReference()
        self.extractor.to(processes.device)
        sums = ReferenceStatistics(images, self.extractor, batch_size=self._batch_size)
        with _progress(images, processes, f"{self.extractor.identity.name} features of the reference") as advance:
            return PublishedStatistics(sums.gaussians(columns, advance))

    def measure(self, features: FeatureSet, fields: dict[str, Any]) -> list[Measurement]:
        """All numbers of one set.

        fields   what of their protocol the samples are
        """
        found = list[Measurement]()
        for metric in self.metrics:
            count = metric.needs().reference_images
            reference, setting = self._loaded.get(count, NoReference()), self._setting(count) | fields
            found += measure([metric], features, reference, self._replicates, setting)
        return found

    def notes(self, images: LabelledSource, features: FeatureSet) -> list[str]:
        """What one should know before one believes the numbers of these images."""
        digests = features.digests if features.digests is not None else digests_of_all(images)
        embedded = [one.features for one in self._loaded.values() if one.features is not None]
        reference = max(embedded, key=len, default=None)
        notes, known = list(self._notes), None if reference is None else reference.digests
        if copies := copies_within(digests):
            notes.append(f"{copies} of the {len(digests)} samples repeat an earlier one, pixel by pixel")
        if self.source is not None and images.fingerprint == self.source.fingerprint:
            notes.append("the samples are the reference's images")
        elif known is not None and (shared := copies_of(digests, known)):
            notes.append(f"{shared} of the {len(digests)} samples equal an image of the reference, pixel by pixel")
        return notes

    def measure_pairs(self, images: LabelledSource, subject: Subject, processes: Processes) -> list[Measurement]:
        """The numbers of each image and what it was drawn for. All processes must call it."""
        scores = PairScores(self.pair_metrics, subject.pairs, subject.count).to(processes.device)
        return measure_pairs(scores, images, self._batch_size, subject.fields)


@contextmanager
def _progress(images: LabelledSource, processes: Processes, what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows for how many of the images it is done, how fast, and the time left."""
    with Progress(shown=processes.rank == 0).task(what, len(images), done=None) as task:
        yield lambda done, _: task.advance(done)


def judge_of(config: DictConfig, subject: Subject, halved: bool = False) -> Judge:
    """What the command says, and where it says nothing what the model's run was judged by; everything is checked for the subject.

    halved   whether the halves of the samples are measured too
    """
    if config.bits_per_dim and subject.model is None:
        raise ConfigError("bits_per_dim measures a model: give checkpoint=..., not samples=...")
    subject.earlier()
    judge = _judge_of(config, subject)
    judge.check(subject, halved)
    return judge


def _judge_of(config: DictConfig, subject: Subject) -> Judge:
    model = subject.model
    data = config.get("data") or (None if model is None else model.get("data"))
    extractor = extractor_of(config, model, data)
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
    return Judge(config, extractor, source)


def extractor_of(config: DictConfig, model: Mapping[str, Any] | None, data: Any) -> FeatureExtractor:
    """The extractor that the command names, else the run's, else the best that suits the data and is at hand."""
    if config.get("extractor") is not None:
        if "dataset" in config.extractor and data is None:  # the best available one asks what the data are
            return build(config.extractor, dataset="")
        return build(config.extractor)
    if model is not None and model.get("extractor") is not None:
        return build(model["extractor"])
    from difflab.features import best_available

    return best_available("" if data is None else str(data["dataset"]["_target_"]))


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} in {'grey' if channels == 1 else f'{channels} channels'}"


def numbered(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """By name."""
    return {measurement.metric: measurement for measurement in measurements}
