"""What a noisy classifier is trained with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from difflab.classifier import NoisyClassifier
from difflab.noise import Noise
from difflab.objectives.objective import Objective
from difflab.objectives.time_samplers import TimeSampler
from difflab.process import perturb
from difflab.types import Condition, Label, Losses


class NoisyClassification(Objective[NoisyClassifier]):
    """-log p(y | x_t) at drawn times (Dhariwal and Nichol 2021, section 4).

    Args:
        time_sampler: How t is drawn.
    """

    def __init__(self, time_sampler: TimeSampler):
        self.time_sampler = time_sampler

    def __call__(self, model: NoisyClassifier, x_0: Float[Tensor, "b c h w"], cond: Condition, noise: Noise) -> Losses:
        label = Label.of(cond)
        if label is None:
            raise ValueError("a classifier learns from classes, and these images have none: choose labelled data")
        t, importance = self.time_sampler(noise, model.schedule)
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        terms = classification_terms(model(perturb(x_0, eps, model.schedule(t)), t), label.number)
        return Losses(importance.to(terms["loss"]) * terms["loss"], t, terms)

    def check(self, model: NoisyClassifier) -> None:
        self.time_sampler.check(model.schedule)


def classification_terms(logits: Float[Tensor, "b k"], label: Int[Tensor, " b"]) -> dict[str, Float[Tensor, " b"]]:
    """The terms of a classifier's loss, per example.

    Args:
        logits: What the classifier says.
        label: The classes.

    Returns:
        The cross-entropy `loss` in nats; `top1` and `top5`, 1 where the class is among the one or five likeliest.
    """
    with torch.no_grad():
        likelier = (logits > logits.gather(1, label[:, None])).sum(1)
    top1, top5 = ((likelier < k).to(logits.dtype) for k in (1, 5))
    return {"loss": F.cross_entropy(logits.float(), label, reduction="none"), "top1": top1, "top5": top5}
