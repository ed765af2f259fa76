"""Names that parts had in earlier versions of difflab, for configurations that were written then.

A run is known by a hash of its configuration, `_target_`s included, and sets of images are bound to theirs. So what was moved is hashed
under the name that it had first, and what is read back is built under the name that it has now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

NEUTRAL = "neutral"
"""Mark of an annotation: with its default the argument changes nothing that a part did before there was such an argument."""

N = TypeVar("N")
Neutral = Annotated[N, NEUTRAL]
"""Annotation of a constructor's argument that was added with a neutral default, `max_images: Neutral[int | None] = None`: with that
default it is no part of a run's identity, so that runs from before there was such an argument are found and resumed."""

PRESENT: Mapping[str, str] = {
    "difflab.callbacks.EMACallback": "difflab.training.callbacks.EMACallback",
    "difflab.callbacks.GoBack": "difflab.training.callbacks.Rollback",
    "difflab.callbacks.GuidanceCallback": "difflab.training.callbacks.GuidanceCallback",
    "difflab.callbacks.ObjectiveCallback": "difflab.training.callbacks.ObjectiveCallback",
    "difflab.callbacks.SkipStep": "difflab.training.callbacks.SkipStep",
    "difflab.callbacks.Stop": "difflab.training.callbacks.Stop",
    "difflab.cli.enlargements.Enlargements": "difflab.evaluation.Enlargements",
    "difflab.cli.evaluation.Samples": "difflab.evaluation.Samples",
    "difflab.cli.frozen_classifier.frozen_classifier": "difflab.checkpoints.frozen_classifier",
    "difflab.cli.frozen_denoiser.frozen_denoiser": "difflab.checkpoints.frozen_denoiser",
    "difflab.cli.held_out_accuracy.HeldOutAccuracy": "difflab.evaluation.HeldOutAccuracy",
    "difflab.cli.init_from.GivenWeights": "difflab.checkpoints.GivenWeights",
    "difflab.launch.Local": "difflab.cluster.Local",
    "difflab.launch.slurm.SlurmJob": "difflab.cluster.SlurmJob",
    "difflab.launch.strategies.Automatic": "difflab.training.sharding.Automatic",
    "difflab.launch.strategies.DDP": "difflab.training.sharding.DDP",
    "difflab.launch.strategies.DeepSpeed": "difflab.training.sharding.DeepSpeed",
    "difflab.launch.strategies.FSDP": "difflab.training.sharding.FSDP",
    "difflab.launch.strategies.Single": "difflab.training.sharding.Single",
    "difflab.metrics.ClipExtractor": "difflab.features.ClipExtractor",
    "difflab.metrics.DigitsExtractor": "difflab.features.DigitsExtractor",
    "difflab.metrics.DinoV2Extractor": "difflab.features.DinoV2Extractor",
    "difflab.metrics.EfficientNetLite0Extractor": "difflab.features.EfficientNetLite0Extractor",
    "difflab.metrics.InceptionExtractor": "difflab.features.InceptionExtractor",
    "difflab.metrics.ThumbnailExtractor": "difflab.features.ThumbnailExtractor",
    "difflab.metrics.best_available": "difflab.features.best_available",
    "difflab.metrics.measures.ClassFrechet": "difflab.metrics.ClassFrechet",
    "difflab.metrics.measures.Cmmd": "difflab.metrics.Cmmd",
    "difflab.metrics.measures.Consistency": "difflab.metrics.Consistency",
    "difflab.metrics.measures.DensityCoverage": "difflab.metrics.DensityCoverage",
    "difflab.metrics.measures.FeatureDistance": "difflab.metrics.FeatureDistance",
    "difflab.metrics.measures.Frechet": "difflab.metrics.Frechet",
    "difflab.metrics.measures.FrechetInfinity": "difflab.metrics.FrechetInfinity",
    "difflab.metrics.measures.HalfPrecisionRecall": "difflab.metrics.HalfPrecisionRecall",
    "difflab.metrics.measures.Inception": "difflab.metrics.Inception",
    "difflab.metrics.measures.InceptionOfSize": "difflab.metrics.InceptionOfSize",
    "difflab.metrics.measures.Kernel": "difflab.metrics.Kernel",
    "difflab.metrics.measures.LearnedPerceptual": "difflab.metrics.LearnedPerceptual",
    "difflab.metrics.measures.PeakSignalToNoise": "difflab.metrics.PeakSignalToNoise",
    "difflab.metrics.measures.PrecisionRecall": "difflab.metrics.PrecisionRecall",
    "difflab.metrics.measures.SpatialFrechet": "difflab.metrics.SpatialFrechet",
    "difflab.metrics.measures.StructuralSimilarity": "difflab.metrics.StructuralSimilarity",
    "difflab.metrics.to_uint8": "difflab.features.to_uint8",
    "difflab.metrics.to_uint8_truncated": "difflab.features.to_uint8_truncated",
    "difflab.module.ClassifierModule": "difflab.training.ClassifierModule",
    "difflab.module.DiffusionModule": "difflab.training.DiffusionModule",
    "difflab.runs.mirror.weights_and_biases": "difflab.runs.wandb.weights_and_biases",
    "difflab.runs.mlflow_run.MlflowRun": "difflab.runs.mlflow.MlflowRun",
}
"""Name in a configuration of an earlier version -> the name now."""

_FIRST = {present: first for first, present in PRESENT.items()}


def present(node: Any) -> Any:
    """A plain configuration with each part under the name that it has now."""
    return _renamed(node, PRESENT)


def first(node: Any) -> Any:
    """A plain configuration with each part under the name that it had first, as hashes and protocols of all versions hold it."""
    return _renamed(node, _FIRST)


def first_name(name: str) -> str:
    """The name that one part had first."""
    return _FIRST.get(name, name)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {
            key: names.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value, names)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_renamed(value, names) for value in node]
    return node
