"""Distances by kernels: KID and CMMD."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.metric import Metric
from difflab.metrics.needs import Counterpart, Needs, Reference, Replicates
from difflab.metrics.neighbours import both_features, slices
from difflab.metrics.protocol import MetricInfo


class Kernel(Metric):
    """Kernel distance, KID on Inception features (Binkowski et al. 2018, eq. 4): squared MMD with the kernel k(x, y) = (x.y / D + 1)^3.

        MMD^2 = sum_{i != j} k(x_i, x_j) / m (m - 1) + sum_{i != j} k(y_i, y_j) / m (m - 1) - 2 sum_ij k(x_i, y_j) / m^2

    without bias at any m, hence sometimes below zero. The number is the mean over random subsets of m samples and m reference images,
    drawn as torch-fidelity 0.4 draws them (one numpy RandomState; samples before reference) so that the same features give its number; in
    float64, where it works in float32 (1e-7 apart). `_std` is the deviation over subsets, of one subset's MMD^2 and not of the mean: no
    error bar.

    The standard error is the jackknife's, in closed form from the row sums of the kernel matrices: what the mean over the same subsets
    would be without image i. That counts the noise of the draws of samples too. Poisson weights would need the kernel matrices for each
    replicate, and are wider where the distance is close to zero (the statistic is degenerate there): 3^1/2 times the true deviation, the
    jackknife 2^1/2.

    Args:
        subsets: How many subsets the mean is over.
        subset_size: m, of samples and of reference images.
        seed: Of their choice; 2020 is torch-fidelity's.
    """

    higher_is_better = False
    plot_lower_bound = None  # the estimate has no bias, so that chance makes it negative where the truth is near 0

    def __init__(self, subsets: int = 100, subset_size: int = 1000, seed: int = 2020):
        if subsets < 1 or subset_size < 3:
            raise ValueError(f"at least 1 subset of 3 images, not subsets={subsets} of subset_size={subset_size}")
        super().__init__()
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        name = identity.named("kd")
        return {
            name: self.kind(identity.label("KD", "KID")),
            f"{name}_std": MetricInfo(
                higher_is_better=None, label=identity.label("KD, sd over subsets", "KID, sd over subsets")
            ),
        }

    def needs(self) -> Needs:
        return Needs(reference_features=True, samples=self.subset_size, references=self.subset_size)

    def protocol(self) -> dict[str, str | int | float]:
        return {"subsets": self.subsets, "subset_size": self.subset_size, "seed": self.seed}

    @property
    def counterpart(self) -> Counterpart:
        names = {"kid": "kernel_inception_distance_mean", "kid_std": "kernel_inception_distance_std"}
        options = {"kid_subsets": self.subsets, "kid_subset_size": self.subset_size, "rng_seed": self.seed}
        return Counterpart(names, {"kid": True, **options}, relative=1e-3, absolute=1e-5)

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        m = self.subset_size
        values = []
        for _, x, y in self._draws(samples, reference):
            (xx, _), (yy, _) = _without_diagonal(x), _without_diagonal(y)
            values.append((xx + yy) / (m * (m - 1)) - 2 * polynomial_kernel(x, y).sum().item() / m**2)
        return dict(zip(self.names(samples.identity), (np.mean(values).item(), np.std(values).item()), strict=True))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Of the distance; of the deviation over subsets there is none. Nothing is drawn: `replicates` plays no part."""
        m = self.subset_size
        change = torch.zeros(len(samples), dtype=torch.float64)
        for rows, x, y in self._draws(samples, reference):
            xx, own = _without_diagonal(x)
            cross = polynomial_kernel(x, y).sum(dim=1)
            whole = xx / (m * (m - 1)) - 2 * cross.sum() / m**2
            without = (xx - 2 * own) / ((m - 1) * (m - 2)) - 2 * (cross.sum() - cross) / ((m - 1) * m)
            change[rows] += (without - whole) / self.subsets
        return {self.names(samples.identity)[0]: jackknife_deviation(change)}

    def _draws(self, samples: FeatureSet, reference: Reference) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(rows of the samples, samples [m, D], reference [m, D]) of each subset, float64."""
        m = self.subset_size
        x, y = both_features(f"a kernel distance with subset_size = {m}", samples, reference, m, m)
        state = np.random.RandomState(self.seed)  # the generator that torch-fidelity draws from
        for _ in range(self.subsets):
            rows, others = (torch.from_numpy(state.choice(len(z), m, replace=False)) for z in (x, y))
            yield rows, x[rows].double(), y[others].double()


def polynomial_kernel(x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"]) -> Float64[Tensor, "n m"]:
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)


def jackknife_deviation(change: Float64[Tensor, " n"]) -> float:
    """Standard deviation of a statistic of N images, from its change when image i is left out (Efron and Stein 1981, eq. 1.4)."""
    n = len(change)
    return math.sqrt((n - 1) / n * (change - change.mean()).square().sum().item())


def _without_diagonal(x: Float64[Tensor, "n d"]) -> tuple[float, Float64[Tensor, " n"]]:
    """Sum of k(x_i, x_j) over i != j, and its part of each i."""
    kernel = polynomial_kernel(x, x)
    rows = kernel.sum(dim=1) - kernel.diagonal()
    return rows.sum().item(), rows


class Cmmd(Metric):
    """CMMD (Jayasumana et al. 2024, "Rethinking FID", eq. 3): squared MMD of CLIP embeddings with a Gaussian kernel.

        1000 (mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)),     k(x, y) = exp(-|x - y|^2 / 2 bandwidth^2)

    over all pairs, an image with itself among them, as in the authors' code (a V-statistic: too large by about 1000 (1 - mean k) / N, never
    below zero). Embeddings are scaled to length 1 first, as there. All in float64: with bandwidth 10 every k is within 2 % of 1, and the
    number is a difference in the fourth digit. Kernel matrices are made block by block.

    The standard error is the jackknife's, from the same row sums (see `Kernel` for why it is no bootstrap).

    Args:
        bandwidth: Of the kernel.
        scale: What MMD^2 is multiplied by.
    """

    higher_is_better = False

    def __init__(self, bandwidth: float = 10, scale: float = 1000):
        if bandwidth <= 0 or scale <= 0:
            raise ValueError(f"bandwidth and scale are positive, got bandwidth={bandwidth}, scale={scale}")
        super().__init__()
        self.bandwidth = bandwidth
        self.scale = scale

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        """The paper's name belongs to CLIP's embeddings; of another extractor it is an MMD."""
        name = "cmmd" if identity.name.startswith("clip") else identity.named("mmd")
        label = "CMMD" if name == "cmmd" else identity.label("MMD")
        return {name: self.kind(label)}

    def needs(self) -> Needs:
        return Needs(reference_features=True, references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {"bandwidth": self.bandwidth, "scale": self.scale}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = self._embeddings(samples, reference)
        xx, yy, xy = (self._kernel_sums(*pair).mean().item() / len(pair[1]) for pair in ((x, x), (y, y), (x, y)))
        return {self.names(samples.identity)[0]: max(0.0, self.scale * (xx + yy - 2 * xy))}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Nothing is drawn: `replicates` plays no part."""
        x, y = self._embeddings(samples, reference)
        n = len(x)
        own, cross = self._kernel_sums(x, x), self._kernel_sums(x, y) / len(y)
        whole = own.sum() / n**2 - 2 * cross.mean()
        # leaving out row i takes its row and its column away, and gives the one on the diagonal back
        without = (own.sum() - 2 * own + 1) / (n - 1) ** 2 - 2 * (cross.sum() - cross) / (n - 1)
        return {self.names(samples.identity)[0]: self.scale * jackknife_deviation(without - whole)}

    def _embeddings(self, samples: FeatureSet, reference: Reference) -> tuple[Tensor, Tensor]:
        x, y = both_features("CMMD", samples, reference, 2, 2)
        return F.normalize(x.double(), dim=1), F.normalize(y.double(), dim=1)

    def _kernel_sums(self, x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"]) -> Float64[Tensor, " n"]:
        """sum_j k(x_i, y_j) of unit vectors, of which |x - y|^2 = 2 - 2 x.y."""
        sums = torch.zeros(len(x), dtype=torch.float64)
        for rows in slices(len(x), 1024):
            for columns in slices(len(y), 8192):
                sums[rows] += (x[rows] @ y[columns].T).sub_(1).div_(self.bandwidth**2).exp_().sum(dim=1)
        return sums
