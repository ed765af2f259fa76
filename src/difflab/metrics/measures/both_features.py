"""The features of samples and reference side by side, for metrics that compare images with images and not with a Gaussian."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.metric import Reference


def both_features(
    what: str, samples: FeatureSet, reference: Reference, samples_at_least: int, reference_at_least: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Features [N, D] of the samples and [M, D] of the reference; ValueError if there are fewer than asked for.

    what   name of the metric, for the errors
    """
    if reference.features is None:
        raise ValueError(
            f"{what} compares with the reference's images one by one, and of this reference only statistics are known: "
            "give a reference of images (a data set, a folder or an npz with arr_0)"
        )
    if samples.identity != reference.features.identity:
        raise ValueError(
            f"{what}: features of {samples.identity.name} and of {reference.features.identity.name} are not comparable"
        )
    if len(samples) < samples_at_least or len(reference.features) < reference_at_least:
        raise ValueError(
            f"{what} needs at least {samples_at_least} samples and {reference_at_least} reference images, "
            f"got {len(samples)} samples and {len(reference.features)} reference images"
        )
    return samples.column("features"), reference.features.column("features")
