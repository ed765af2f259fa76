"""The denoiser that a perfectly trained model would be, in closed form: of a distribution that is known, or of the training points.

Of N training points y_i, which are what the loss is a mean over, x_t is a mixture of N(alpha y_i, sigma^2 I), and

    E[x_0 | x_t] = sum_i w_i y_i        w = softmax_i( -|x_t - alpha y_i|^2 / 2 sigma^2 )      score = (alpha E[x_0 | x_t] - x_t) / sigma^2

Whoever walks along it ends in a training point: it is what a model learns that generalises in no way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from difflab.data import ImageDataset
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, Label, Prediction

AT_ONCE = 128
"""Places that are compared with all points at a time."""


@dataclass(frozen=True)
class Exact:
    """A denoiser, and what it is of."""

    denoise: DenoiseFn
    of: str


def exact_denoiser(dataset: ImageDataset, schedule: NoiseSchedule) -> Exact:
    """Of the data's distribution, else of the points themselves."""
    if dataset.distribution is not None:
        return Exact(dataset.distribution.denoiser(schedule), "the mixture of Gaussians that the data are drawn from")
    points = dataset.images(range(len(dataset))).float()
    return Exact(empirical(points, dataset.labels, schedule), f"the {len(dataset):,} training points")


def empirical(points: Tensor, labels: Tensor | None, schedule: NoiseSchedule) -> DenoiseFn:
    """The denoiser of points [N, *size]; asked for classes, of those of the class."""
    flat = points.double().flatten(1)

    def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        (alpha, sigma), label = schedule(t), Label.of(cond)
        parts = []
        for start in range(0, len(x_t), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            x, a, s = x_t[rows].double().flatten(1).to(flat), alpha[rows, None].to(flat), sigma[rows, None].to(flat)
            # |x|^2 is the same for all points and falls out
            logits = -((a * flat.square().sum(1)) * a - 2 * a * (x @ flat.T)) / (2 * s**2)
            if label is not None and labels is not None:
                number = label.number[rows].to(labels)[:, None]
                logits = logits.masked_fill((number >= 0) & (labels[None] != number), -torch.inf)
            parts.append(logits.softmax(1) @ flat)
        return Prediction(torch.cat(parts).reshape(x_t.shape).to(x_t))

    return denoise
