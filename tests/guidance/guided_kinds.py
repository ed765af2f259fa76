"""Every guidance, once so that it does nothing and once so that it does much, around a denoiser of a line."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from difflab.guidance import (
    AdaptiveProjected,
    Autoguidance,
    ClassifierFree,
    ClassifierFreeOverTime,
    ClassifierGuidance,
    Clip,
    DynamicThreshold,
    Guidance,
    PerturbedAttention,
    RescaledClassifierFree,
    ScoreAtPrediction,
    ScoreThroughDenoiser,
)
from difflab.guidance.scores import ChannelMeans
from difflab.guidance.shapes import Cosine, Linear, NoiseLevelInterval, TimeInterval
from difflab.networks.layers.attention import attend
from difflab.schedules import cosine
from difflab.types import AttentionSite, Condition, Label, Prediction

SCHEDULE = cosine(1000)
X_T = torch.from_numpy(np.random.RandomState(0).randn(4, 3, 4, 4))
T = torch.tensor([0.1, 0.4, 0.7, 0.9], dtype=torch.float64)
COND = Condition(label=Label(torch.tensor([1, 3, 5, 9])))
RED = ChannelMeans([0.4, -0.2, 0.1], 0.3)


def smooth(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
    """Follows image, time, class and perturbation, between -1 and 1; its variance too."""
    label = torch.zeros_like(t) if Label.of(cond) is None else Label.of(cond).number.to(t)
    # two places of an image that look at each other alike see 1; the first one alone, looking at itself, sees 2
    seen = torch.tensor([2.0, 0.0]).reshape(1, 1, 2, 1).expand(len(x_t), -1, -1, -1)
    site = AttentionSite(0, False, (1, 2), t)
    bits = attend(torch.zeros_like(seen), torch.zeros_like(seen), seen, site, cond.controls)[:, 0, 0, 0].to(t) - 1
    where = torch.linspace(-1, 1, x_t.shape[-1], dtype=x_t.dtype)  # so that the image's parts differ in their way
    told = [value.to(x_t)[:, None, None, None] for value in (label / 7, bits, t)]
    x_0 = torch.tanh(0.7 * x_t.roll(1, 3) + 0.3 * x_t + told[0] * where - 0.4 * told[1] * where**2 + told[2])
    return Prediction(x_0, torch.sin(x_t + told[0]))


def loud(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
    """The same beyond -1 and 1."""
    prediction = smooth(x_t, t, cond)
    return Prediction(1.8 * prediction.x0, prediction.variance_fraction)


def weak(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
    return Prediction(0.8 * smooth(x_t, t, cond).x0, torch.zeros_like(x_t))


def classify(x_t: Tensor, t: Tensor, /) -> Tensor:
    classes = torch.arange(10, dtype=x_t.dtype)
    return torch.sin(x_t.mean((1, 2, 3))[:, None] * classes + t.to(x_t)[:, None]) * 3


ACTIVE: dict[str, Callable[[], Guidance]] = {
    "classifier_free": lambda: ClassifierFree(3.0),
    "linear": lambda: ClassifierFreeOverTime(3.0, Linear(0.0, 2.0)),
    "interval": lambda: ClassifierFreeOverTime(3.0, NoiseLevelInterval(0.3, 3.0, SCHEDULE)),
    "rescaled": lambda: RescaledClassifierFree(3.0, 0.7),
    "adaptive_projected": lambda: AdaptiveProjected(3.0, 0.1, 2.0, -0.5),
    "threshold": lambda: DynamicThreshold(0.9),
    "clip": lambda: Clip(-0.5, 0.5),
    "autoguidance": lambda: Autoguidance(weak, 2.0),
    "perturbed_attention": lambda: PerturbedAttention(3.0, [0]),
    "classifier": lambda: ClassifierGuidance(classify, SCHEDULE, 3.0),
    "score_through_denoiser": lambda: ScoreThroughDenoiser(RED, SCHEDULE, 3.0),
    "score_at_prediction": lambda: ScoreAtPrediction(RED, SCHEDULE, 3.0, 0.5),
}

NEUTRAL: dict[str, Callable[[], Guidance]] = {
    "classifier_free": lambda: ClassifierFree(1.0),
    "cosine": lambda: ClassifierFreeOverTime(1.0, Cosine(0.0, 2.0)),
    "another_interval": lambda: ClassifierFreeOverTime(3.0, TimeInterval(0.91, 0.95)),
    "rescaled": lambda: RescaledClassifierFree(1.0, 0.7),
    "adaptive_projected": lambda: AdaptiveProjected(1.0, 0.0, 2.5, -0.5),
    "threshold": lambda: DynamicThreshold(0.7),  # the image lies inside
    "clip": lambda: Clip(),
    "autoguidance": lambda: Autoguidance(weak, 1.0),
    "perturbed_attention": lambda: PerturbedAttention(1.0, [0]),
    "classifier": lambda: ClassifierGuidance(classify, SCHEDULE, 1.0),
    "score_through_denoiser": lambda: ScoreThroughDenoiser(RED, SCHEDULE, 1.0),
    "score_at_prediction": lambda: ScoreAtPrediction(RED, SCHEDULE, 1.0, 0.5),
}

OF_SCALE: dict[str, Callable[[float], Guidance]] = {
    "classifier_free": ClassifierFree,
    "over_time": lambda w: ClassifierFreeOverTime(w, Linear(0.5, 2.0)),
    "adaptive_projected": lambda w: AdaptiveProjected(w, 0.1, 2.0, 0.0),
    "autoguidance": lambda w: Autoguidance(weak, w),
    "perturbed_attention": lambda w: PerturbedAttention(w, [0]),
    "classifier": lambda w: ClassifierGuidance(classify, SCHEDULE, w),
    "score_through_denoiser": lambda w: ScoreThroughDenoiser(RED, SCHEDULE, w),
    "score_at_prediction": lambda w: ScoreAtPrediction(RED, SCHEDULE, w, math.sqrt(0.5)),
}
"""Those that are linear in w."""
