"""The evaluator that a command asks for; where it says nothing, what the model's run was evaluated by."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from omegaconf import DictConfig

from difflab.config.build import build
from difflab.config.groups import is_chosen
from difflab.config.keys import ConfigError
from difflab.config.values import FileOrFolder, Limits, Matching, Natural, Several, Word
from difflab.data.subset import at_most, spread
from difflab.evaluation.checks import check, served
from difflab.evaluation.evaluator import NOTHING_TO_COMPARE_WITH, Evaluator
from difflab.evaluation.reference_source import ReferenceSource, reference_of_file
from difflab.evaluation.sources import Subject
from difflab.evaluation.torch_fidelity import check_possible
from difflab.features import FeatureExtractor
from difflab.metrics import Replicates


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
