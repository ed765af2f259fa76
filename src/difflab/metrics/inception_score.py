"""Inception Score (Salimans et al. 2016, section 4): streamed, and in parts of the set.

Inception Score (Salimans et al. 2016, section 4), streamed.

    IS = exp(E_x KL(p(y|x) || p(y))) = exp(mean_x sum_y p log p - sum_y q log q),    q = mean_x p(y|x)

The N images are cut into S contiguous splits; reported are mean and population standard deviation over the splits (numpy's, as
torch-fidelity; torchmetrics divides by S - 1). Image i belongs to split ((i + 1) S - 1) // N, torch-fidelity's boundaries
i N // S, so the number of processes and the batch size have no influence. Kept are S (K + 2) numbers in float64.

Neighbouring images should not be of one class: number a class-balanced set so that classes alternate.

Inception Score (Salimans et al. 2016, section 4) in parts of the set: formula and boundaries are those of metrics/inception_score.py.

Inception         S parts of nearly equal size, as the paper and torch-fidelity       mean and deviation over the parts
InceptionOfSize   parts of a fixed size, the last may be smaller, as guided-diffusion's evaluator          mean over the parts

With 50,000 images 10 parts are parts of 5,000 and the two are one.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from difflab.distributed.collective import sum_over_processes
from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.bootstrap import score_replicates, standard_error
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo


class Score(NamedTuple):
    mean: float
    std: float


class InceptionScore:
    """Sums over logits [B, K] of images that know their index in 0 .. N - 1.

    p [S, K] sum of p(y|x)       p_log_p [S] sum of sum_y p log p       count [S]
    """

    def __init__(self, num_images: int, num_classes: int, splits: int = 10, device: torch.device | str = "cpu"):
        if not 1 <= splits <= num_images:
            raise ValueError(f"{num_images} images cannot be cut into {splits} splits: use more images or fewer splits")
        self.num_images, self.splits = num_images, splits
        self.p = torch.zeros(splits, num_classes, dtype=torch.float64, device=device)
        self.p_log_p = torch.zeros(splits, dtype=torch.float64, device=device)
        self.count = torch.zeros(splits, dtype=torch.float64, device=device)

    def update(self, logits: Float[Tensor, "b k"], index: Int[Tensor, " b"]) -> None:
        log_p = logits.to(self.p).log_softmax(dim=1)
        split = ((index.to(self.p.device) + 1) * self.splits - 1) // self.num_images
        self.p.index_add_(0, split, log_p.exp())
        self.p_log_p.index_add_(0, split, (log_p.exp() * log_p).sum(dim=1))
        self.count.index_add_(0, split, torch.ones_like(log_p[:, 0]))

    def all_reduced(self) -> InceptionScore:
        """The sums over all processes, in one collective call; this one stays as it is."""
        summed = InceptionScore(self.num_images, self.p.shape[1], self.splits, self.p.device)
        summed.p, summed.p_log_p, summed.count = sum_over_processes([self.p, self.p_log_p, self.count])
        return summed

    def compute(self) -> Score:
        if (self.count == 0).any():
            raise ValueError(f"split {int((self.count == 0).nonzero()[0])} of {self.splits} has no image")
        q = self.p / self.count[:, None]
        scores = torch.exp(self.p_log_p / self.count - torch.special.xlogy(q, q).sum(dim=1))
        return Score(scores.mean().item(), scores.std(correction=0).item())


def _score(identity: Identity) -> MetricInfo:
    """The exponential of a mean divergence, which is never negative."""
    return MetricInfo(higher_is_better=True, bounds=(1.0, math.inf), label=identity.label("IS"))


class Inception(Metric):
    """is and is_std, is_digits and is_digits_std ...; one part has no deviation."""

    def __init__(self, splits: int = 10):
        if splits < 1:
            raise ValueError(f"splits={splits}: a set is cut into 1 part at least, 10 in the papers")
        self.splits = splits

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        score = identity.named("is")
        spread = (
            {f"{score}_std": MetricInfo(higher_is_better=None, label=identity.label("IS, sd over parts"))}
            if self.splits > 1
            else {}
        )
        return {score: _score(identity), **spread}

    def needs(self) -> Needs:
        return Needs(columns=frozenset({"logits"}), samples=self.splits)

    def protocol(self) -> dict[str, str | int | float]:
        return {"splits": self.splits}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        per_part, classes = len(samples) // self.splits, samples.identity.num_classes
        if per_part < classes:
            warnings.warn(
                f"{self.splits} parts of {len(samples)} images have {per_part} each, fewer than the {classes} classes: no part's score "
                f"can exceed {per_part}; set metric.inception_score.splits=1, or use more images",
                stacklevel=2,
            )
        score = InceptionScore(len(samples), classes, self.splits)
        for start, rows in samples.chunks("logits"):
            score.update(rows, torch.arange(start, start + len(rows)))
        return dict(zip(self.names(samples.identity), score.compute(), strict=False))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        split = ((torch.arange(len(samples)) + 1) * self.splits - 1) // len(samples)
        scores = score_replicates(samples, split, replicates)
        values = [scores.mean(dim=1), scores.std(dim=1, correction=0)]
        return {name: standard_error(v) for name, v in zip(self.names(samples.identity), values, strict=False)}


class InceptionOfSize(Metric):
    """is, as guided-diffusion's evaluator computes it for any N; its default of 5,000."""

    def __init__(self, part_size: int = 5000):
        if part_size < 1:
            raise ValueError(f"part_size={part_size}: a part holds 1 image at least, 5000 in guided-diffusion")
        self.part_size = part_size

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("is"): _score(identity)}

    def needs(self) -> Needs:
        return Needs(columns=frozenset({"logits"}))

    def protocol(self) -> dict[str, str | int | float]:
        return {"part_size": self.part_size}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        n, size = len(samples), self.part_size
        parts = [InceptionScore(min(size, n - i), samples.identity.num_classes, splits=1) for i in range(0, n, size)]
        for start, rows in samples.chunks("logits"):
            index = torch.arange(start, start + len(rows))
            for i in (index // size).unique().tolist():
                mine = index // size == i
                parts[i].update(rows[mine], index[mine] - i * size)
        return self._named(samples, sum(part.compute().mean for part in parts) / len(parts))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        part: Int[Tensor, " n"] = torch.arange(len(samples)) // self.part_size
        scores: Float64[Tensor, "r parts"] = score_replicates(samples, part, replicates)
        return self._named(samples, standard_error(scores.mean(dim=1)))

    def _named(self, samples: FeatureSet, value: float) -> dict[str, float]:
        return {samples.identity.named("is"): value}
