"""Whether a study's evaluations will give the numbers that it reports: asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from difflab.config.build import build, target
from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.results import recognised
from difflab.evaluation.run import extractor_of
from difflab.features import FeatureExtractor
from difflab.features.inception import FILES, find_inception_weights
from difflab.likelihoods import VariationalBound
from difflab.metrics import FeatureMetric, Protocol

CHOICE = "in the study's `evaluation`, under `overrides`"


class Deciding:
    """Asks what evaluations will measure, and each extractor once."""

    def __init__(self) -> None:
        self._extractors: dict[str, FeatureExtractor | str] = {}

    def lacking(self, metrics: Sequence[str], config: Mapping[str, Any], asked: EvaluationOptions) -> str:
        """Why an evaluation will not give these metrics, and what to do; "" if it will.

        Args:
            metrics: That the study reports, the deciding one first.
            config: Of the row's training, resolved.
            asked: Of its evaluation.
        """
        extractor, chosen = self._extractor(config, asked), _metrics(asked)
        if isinstance(extractor, str):
            return f"{metrics[0]} cannot be measured: {extractor}"
        if chosen is None:
            return ""
        identity = extractor.identity
        for metric in chosen:
            if columns := sorted(metric.needs().columns - set(identity.columns)):
                return (
                    f"{metric.names(identity)[0]} needs {columns[0]}, which these weights of {identity.name} do not give: leave it out "
                    f"by metric=[...] {CHOICE}"
                )
        names = [
            *(name for metric in chosen for name in metric.names(identity)),
            *[target(asked.likelihood).name if asked.likelihood else VariationalBound.name] * bool(asked.bits_per_dim),
        ]
        missing = [metric for metric in metrics if metric not in names]
        if not missing:
            return ""
        return f"evaluations will give {', '.join(names)}, and not {missing[0]}: {_remedy(missing[0], extractor)}"

    def _extractor(self, config: Mapping[str, Any], asked: EvaluationOptions) -> FeatureExtractor | str:
        """An extractor, or why there is none."""
        data = asked.data or config.get("data")
        key = repr((asked.extractor, config.get("extractor"), data and data.get("dataset")))
        if key not in self._extractors:
            try:
                self._extractors[key] = extractor_of(asked, config, data)
            except (ValueError, OSError, ImportError) as error:
                self._extractors[key] = " ".join(str(error).split())
        return self._extractors[key]


def _metrics(asked: EvaluationOptions) -> list[FeatureMetric] | None:
    """The chosen ones; None where some compare images in pairs, whose weights are looked for when there are pairs."""
    nodes = list((asked.metric or {}).values())
    if not all(isinstance(kind := target(node), type) and issubclass(kind, FeatureMetric) for node in nodes):
        return None
    return [build(node) for node in nodes]


def _remedy(metric: str, extractor: FeatureExtractor) -> str:
    """What to do for a metric of other features, or of none that was chosen."""
    identity = extractor.identity
    alternative = f"decide by {identity.distance}, of the features of {identity.name}"
    if recognised(metric, Protocol({"extractor.name": "inception"})) is None or identity.name == "inception":
        return f"choose metrics that give it by metric=[...] {CHOICE}, or {alternative}"
    if find_inception_weights() is None:
        fetched = " or ".join(file.how for file in FILES)
        return f"it is of Inception's features, and their weights are not at hand: run {fetched}, or {alternative}"
    return f"it is of Inception's features: give extractor=inception {CHOICE}, or {alternative}"
