"""Precision and recall in float16, as the published tables of ADM have them.

guided-diffusion's evaluator casts features, squared norms, products and squared distances to float16, eleven bits of precision: after
a squared distance of 100 comes 100.0625, pairs tie, and closed balls hold more than they should (precision 0.8967 where float32 says
0.8933). This is that computation with sums in float32, which is how a GPU multiplies matrices of float16. Radii agree with the evaluator's
to a rounding step of the squared norms, shares to an image or two: the order of its sums differs from one device to the next, and so
do its last bits.

Use `PrecisionRecall` unless a published number is to be reproduced.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.neighbours import both_features, slices


class HalfPrecisionRecall(Metric):
    """See the module.

    Args:
        k: Neighbours that the radius of a ball reaches to; 3 in ADM's tables.
        reference_images: How many of the reference's images are used, spread evenly over it; None for all. ADM's evaluator compares 50,000
            samples with 10,000 images, while its FID is to the statistics of all.
    """

    def __init__(self, k: int = 3, reference_images: int | None = None):
        if k < 1:
            raise ValueError(f"a ball reaches to the k-th neighbour: k must be at least 1, not {k}")
        if reference_images is not None and reference_images <= k:
            raise ValueError(
                f"reference_images = {reference_images}: each has {k} neighbours, so take at least {k + 1}"
            )
        self.k = k
        self.reference_images = reference_images

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named(f"{share}_fp16"): MetricInfo(
                higher_is_better=True, bounds=(0.0, 1.0), label=identity.label(f"{share}, float16")
            )
            for share in ("precision", "recall")
        }

    def needs(self) -> Needs:
        return Needs(
            reference_features=True, samples=self.k + 1, reference_images=self.reference_images, references=self.k + 1
        )

    def protocol(self) -> dict[str, str | int | float]:
        return {"k": self.k, "distances": "float16"}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = self._features(samples, reference)
        values = _share_inside(x, y, half_radii(y, self.k)), _share_inside(y, x, half_radii(x, self.k))
        return dict(zip(self.names(samples.identity), values, strict=True))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Precision's, as in `PrecisionRecall`; for recall's ask that."""
        x, y = self._features(samples, reference)
        p = _share_inside(x, y, half_radii(y, self.k))
        return {self.names(samples.identity)[0]: math.sqrt(p * (1 - p) / (len(samples) - 1))}

    def _features(self, samples: FeatureSet, reference: Reference) -> tuple[Tensor, Tensor]:
        what = f"precision and recall with k = {self.k}"
        return both_features(what, samples, reference, self.k + 1, self.k + 1)


def half_radii(x: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """Squared distance to the (k + 1)-th nearest row, itself among them; the evaluator sorts its own distance, not always zero, too."""
    blocks = [_distances(x[rows], x).topk(k + 1, largest=False).values[:, -1] for rows in slices(len(x), 512)]
    return torch.cat(blocks)


def _share_inside(queries: Tensor, centres: Tensor, radii: Tensor) -> float:
    inside = [(_distances(queries[rows], centres) <= radii).any(dim=1) for rows in slices(len(queries), 512)]
    return torch.cat(inside).double().mean().item()


def _distances(u: Tensor, v: Tensor) -> Float[Tensor, "n m"]:
    """max(|u|^2 - 2 u.v + |v|^2, 0), rounded to float16 after each step, in float32."""
    u, v = _rounded(u), _rounded(v)
    norm_u, norm_v = (_rounded(_rounded(z.square()).sum(dim=1)) for z in (u, v))
    distances = _rounded(_rounded(norm_u[:, None] - 2 * _rounded(u @ v.T)) + norm_v).clamp_(min=0)
    if not distances.isfinite().all():
        raise ValueError(
            "squared distances of these features exceed 65504, the largest float16: there is no half-precision form of this number "
            "(the evaluator falls back to float32 there); use PrecisionRecall"
        )
    return distances


def _rounded(x: Tensor) -> Tensor:
    return x.half().float()
