"""Frechet distance between two Gaussians (Dowson and Landau 1982; FID: Heusel et al. 2017, eq. 6).

    d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^1/2)

With S = R R^T by Cholesky with pivoting, the trace is the sum of the singular values of R1^T R2 (its nuclear norm). No matrix
square root of a non-symmetric product is taken, and pivots that are rounding noise never meet a square root. At D = 2048 it takes
about two seconds on two cores, an eighth of what two symmetric eigendecompositions take.

Other implementations take square roots of the eigenvalues of S1 S2 (torch-fidelity, torchmetrics) or scipy's `sqrtm` (guided-diffusion,
pytorch-fid). With full rank all agree to 1e-10. With fewer images than dimensions the D - N eigenvalues that should be zero
are around 1e-16 of the largest and their roots around 1e-8, all counted as positive: those results are too small by about 1e-5
relative at D = 2048, where this one equals the exact value from the features to 1e-12.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float64
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from difflab.metrics.moments import Gaussian


class FrechetDistance(NamedTuple):
    """mean_term |m1 - m2|^2, covariance_term tr(S1 + S2 - 2 (S1 S2)^1/2); the distance (FID and its relatives) is their sum."""

    mean_term: float
    covariance_term: float

    @property
    def distance(self) -> float:
        return self.mean_term + self.covariance_term


def frechet_distance(a: Gaussian, b: Gaussian) -> FrechetDistance:
    """d^2 of the formula above, which is what everybody calls FID."""
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of {len(a.mean)} and {len(b.mean)} dimensions: they come from different extractors")
    for name, gaussian in (("first", a), ("second", b)):
        if not (gaussian.mean.isfinite().all() and gaussian.covariance.isfinite().all()):
            raise ValueError(f"the {name} Gaussian holds NaN or infinity: one of its images has such features")
        if 0 < gaussian.count < len(gaussian.mean):
            warnings.warn(
                f"the {name} covariance has {len(gaussian.mean)} dimensions and only {gaussian.count} images: it is singular and the "
                "distance far too large; compare it with numbers of the same N alone",
                stacklevel=2,
            )
    mean_term = (a.mean - b.mean).square().sum()
    cross = torch.linalg.svdvals(covariance_root(a.covariance).T @ covariance_root(b.covariance)).sum()
    return FrechetDistance(mean_term.item(), (a.covariance.trace() + b.covariance.trace() - 2 * cross).item())


def covariance_root(covariance: Float64[Tensor, "d d"]) -> Float64[Tensor, "d rank"]:
    """R with R R^T = covariance.

    LAPACK's pivoted Cholesky takes the largest remaining diagonal element first and stops where what remains is below D eps of the largest.
    """
    matrix = covariance.cpu().numpy()
    (pstrf,) = get_lapack_funcs(("pstrf",), (matrix,))
    factor, pivots, rank, _ = pstrf(matrix, lower=1)
    root = torch.zeros(len(covariance), rank, dtype=covariance.dtype)
    root[torch.from_numpy(pivots).long() - 1] = torch.from_numpy(factor).tril()[:, :rank]
    return root.to(covariance.device)
