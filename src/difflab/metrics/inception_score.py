"""Inception Score (Salimans et al. 2016, section 4), streamed, over parts of the set.

    IS = exp(E_x KL(p(y|x) || p(y))) = exp(mean_x sum_y p log p - sum_y q log q),    q = mean_x p(y|x)

    Inception         S contiguous parts of nearly equal size, as the paper and torch-fidelity      mean and deviation over the parts
    InceptionOfSize   parts of a fixed size, the last may be smaller, as guided-diffusion's evaluator         mean over the parts

With 50,000 images 10 parts are parts of 5,000 and the two are one. Of S parts image i belongs to part ((i + 1) S - 1) // N, which is
torch-fidelity's boundaries i N // S, and the deviation is numpy's, as torch-fidelity's. (torchmetrics
shuffles the images, and divides by S - 1.) So the
number of processes and the batch size have no influence. Kept are S (K + 2) numbers in float64, where torchmetrics keeps all logits.

Neighbouring images should not be of one class: number a class-balanced set so that classes alternate.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from difflab.features.extractor import Features, FeatureSet, Identity
from difflab.metrics.bootstrap import score_replicates, standard_error
from difflab.metrics.metric import StreamedMetric
from difflab.metrics.needs import Counterpart, Needs, Reference, Replicates
from difflab.metrics.protocol import MetricInfo


class _ScoreOfParts(StreamedMetric):
    """States: p [S, K] sum of p(y|x), p_log_p [S] sum of sum_y p log p, count [S]."""

    fronts = (("fd", "is"),)

    higher_is_better = True
    plot_lower_bound = 1.0  # the exponential of a mean divergence, which is never negative
    p: Tensor
    p_log_p: Tensor
    count: Tensor

    @abstractmethod
    def _part(self, index: Int[Tensor, " b"], num_images: int) -> Int[Tensor, " b"]:
        """The part of each image, 0 .. S - 1."""

    def _declare_states(self, identity: Identity, num_images: int) -> None:
        parts = int(self._part(torch.tensor([num_images - 1]), num_images)) + 1
        self.add_state("p", torch.zeros(parts, identity.num_classes, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("p_log_p", "count"):
            self.add_state(name, torch.zeros(parts, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Features, index: Int[Tensor, " b"] | None = None, labels: Tensor | None = None) -> None:
        """Adds the images' logits to the sums of their parts."""
        assert features.logits is not None
        index = self._numbers(len(features.logits), index)
        mine = index < self.num_images
        log_p = features.logits.to(self.p)[mine].log_softmax(dim=1)
        part = self._part(index[mine], self.num_images)
        self.p.index_add_(0, part, log_p.exp())
        self.p_log_p.index_add_(0, part, (log_p.exp() * log_p).sum(dim=1))
        self.count.index_add_(0, part, torch.ones_like(log_p[:, 0]))

    def _scores(self) -> Float64[Tensor, " s"]:
        """The score of each part."""
        if (self.count == 0).any():
            raise ValueError(f"split {int((self.count == 0).nonzero()[0])} of {len(self.count)} has no image")
        q = self.p / self.count[:, None]
        return torch.exp(self.p_log_p / self.count - torch.special.xlogy(q, q).sum(dim=1))

    def _named(self, *values: Tensor) -> dict[str, Tensor]:
        assert self.identity is not None
        return dict(zip(self.names(self.identity), values, strict=False))


class Inception(_ScoreOfParts):
    """is and is_std, is_digits and is_digits_std ...; one part has no deviation."""

    def __init__(self, splits: int = 10):
        if splits < 1:
            raise ValueError(f"splits={splits}: a set is cut into 1 part at least, 10 in the papers")
        super().__init__()
        self.splits = splits

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        score = identity.named("is")
        deviation = MetricInfo(higher_is_better=None, label=identity.label("IS, sd over parts"))
        return {score: self.kind(identity.label("IS"))} | ({f"{score}_std": deviation} if self.splits > 1 else {})

    def needs(self) -> Needs:
        return Needs(columns=frozenset({"logits"}), samples=self.splits)

    def protocol(self) -> dict[str, str | int | float]:
        return {"splits": self.splits}

    @property
    def counterpart(self) -> Counterpart:
        names = {"is": "inception_score_mean", "is_std": "inception_score_std"}
        return Counterpart(names, {"isc": True, "isc_splits": self.splits}, 1e-4, 1e-4, sees_reference=False)

    def _part(self, index: Int[Tensor, " b"], num_images: int) -> Int[Tensor, " b"]:
        if self.splits > num_images:
            raise ValueError(
                f"{num_images} images cannot be cut into {self.splits} splits: use more images or fewer splits"
            )
        return ((index + 1) * self.splits - 1) // num_images

    def compute(self) -> dict[str, Tensor]:
        """Mean and deviation over the parts."""
        scores = self._scores()
        return self._named(scores.mean(), scores.std(correction=0))

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        """The score of images whose features are stored; warns where parts are too small for it."""
        per_part, classes = len(samples) // self.splits, samples.identity.num_classes
        if per_part < classes:
            warnings.warn(
                f"{self.splits} parts of {len(samples)} images have {per_part} each, fewer than the {classes} classes: no part's score "
                f"can exceed {per_part}; set metric.inception_score.splits=1, or use more images",
                stacklevel=2,
            )
        return self._streamed(samples, reference)

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        scores = score_replicates(samples, self._part(torch.arange(len(samples)), len(samples)), replicates)
        values = [scores.mean(dim=1), scores.std(dim=1, correction=0)]
        return {name: standard_error(v) for name, v in zip(self.names(samples.identity), values, strict=False)}


class InceptionOfSize(_ScoreOfParts):
    """is, as guided-diffusion's evaluator computes it for any N; its default of 5,000."""

    def __init__(self, part_size: int = 5000):
        if part_size < 1:
            raise ValueError(f"part_size={part_size}: a part holds 1 image at least, 5000 in guided-diffusion")
        super().__init__()
        self.part_size = part_size

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("is"): self.kind(identity.label("IS"))}

    def needs(self) -> Needs:
        return Needs(columns=frozenset({"logits"}))

    def protocol(self) -> dict[str, str | int | float]:
        return {"part_size": self.part_size}

    def _part(self, index: Int[Tensor, " b"], num_images: int) -> Int[Tensor, " b"]:
        return index // self.part_size

    def compute(self) -> dict[str, Tensor]:
        """The mean over the parts."""
        scores = self._scores()
        return self._named(torch.tensor(sum(scores.tolist()) / len(scores), dtype=torch.float64))

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        return self._streamed(samples, reference)

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        scores = score_replicates(samples, self._part(torch.arange(len(samples)), len(samples)), replicates)
        return {self.names(samples.identity)[0]: standard_error(scores.mean(dim=1))}
