"""Several metrics of one set of samples, each with its standard error and protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from difflab.evaluation.results import Measurement
from difflab.features.extractor import FeatureExtractor, FeatureSet, Identity
from difflab.metrics.metric import Metric, Reference, Replicates
from difflab.metrics.protocol import Protocol, metric_fields


def check(
    metrics: Sequence[Metric],
    identity: Identity,
    num_samples: int,
    has_labels: bool,
    reference_columns: frozenset[str],
    reference_has_features: bool,
    reference_has_labels: bool,
) -> None:
    """Raises a ValueError for the first metric that cannot be computed from what there will be. To be called before any work."""
    for metric in metrics:
        names, needs = metric.names(identity)[0], metric.needs()
        for column in sorted(needs.columns - set(identity.columns)):
            raise ValueError(
                f"{names} needs {column}, which the extractor {identity.name} does not give with these weights: leave the metric out, "
                "or choose an extractor or weights that give them (`difflab weights` lists them)"
            )
        if num_samples < needs.samples:
            raise ValueError(f"{names} needs at least {needs.samples} samples, there are {num_samples}")
        if needs.reference_features and not reference_has_features:
            raise ValueError(
                f"{names} needs the reference's images, and the reference is a file of statistics: give images, or leave the metric out"
            )
        for column in sorted(needs.reference_columns - reference_columns):
            raise ValueError(
                f"{names} needs the reference's statistics of {column}; it has {_listed(reference_columns)}"
            )
        if needs.labels and not has_labels:
            raise ValueError(f"{names} needs the samples' classes, and these samples have none")
        if needs.labels and not reference_has_labels:
            raise ValueError(f"{names} needs the classes of the reference's images, and these have none")


def shared_fields(extractor: FeatureExtractor, reference: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the protocol of all metrics of one extractor and one reference."""
    identity = extractor.identity
    weights = {"weights": identity.weights} if identity.weights else {}
    return {
        "extractor": {"name": identity.name, "fingerprint": extractor.fingerprint, **weights},
        "preprocessing": identity.preprocessing,
        "dtype": "float32 network, float64 statistics",
        "reference": reference,
    }


def measured_as(metric: Metric, name: str, samples: int, setting: Mapping[str, Any]) -> Protocol:
    """The protocol of one number of a metric: with a reference only if the metric looks at one, with the code of a metric that is the
    user's own."""
    relevant = {field: value for field, value in setting.items() if field != "reference" or needs_reference(metric)}
    return Protocol.of({**relevant, "samples": samples, "metric": metric_fields(name, metric)})


def needs_reference(metric: Metric) -> bool:
    needs = metric.needs()
    return bool(needs.reference_columns) or needs.reference_features


def measure(
    metrics: Sequence[Metric],
    samples: FeatureSet,
    reference: Reference,
    replicates: Replicates,
    setting: Mapping[str, Any],
) -> list[Measurement]:
    """All numbers of all metrics.

    replicates   of the standard errors; a count of 0 leaves them out
    setting      nested fields that all metrics share: extractor, reference, sampler, seeds ...
    """
    found = []
    for metric in metrics:
        values = metric(samples, reference)
        infos, errors = metric.info(samples.identity), {}
        if undeclared := sorted(set(values) - set(infos)):
            raise ValueError(
                f"{type(metric).__name__} gives {', '.join(undeclared)}, which its `info` does not declare: that has {', '.join(infos)}"
            )
        if replicates.count:
            errors = metric.standard_errors(samples, reference, replicates)
        for name, value in values.items():
            protocol, error = measured_as(metric, name, samples.count, setting), errors.get(name)
            drawn = 0 if error is None else replicates.count
            found.append(Measurement.of(name, value, samples.count, protocol, infos[name], error, drawn))
    return found


def _listed(columns: frozenset[str]) -> str:
    return ", ".join(sorted(columns)) or "none"
