"""Guidance by a classifier of noised images, in score form, and what a classifier says of the class that an image is to have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from difflab.guidance.guidance import Guidance, gradient
from difflab.process import over
from difflab.schedules import NoiseSchedule
from difflab.types import ClassifyFn, Condition, DenoiseFn, Label, Prediction


def class_log_probability(
    classify: ClassifyFn, x: Float[Tensor, "b c *size"], t: Float64[Tensor, " b"], cond: Condition
) -> Float[Tensor, " b"]:
    """The log-probability log p(y | x) at time t, y being the label of each image; 0 for an image whose class was dropped.

    Args:
        classify: (x_t, t) -> logits [B, K].
        x: The images.
        t: Their times.
        cond: Their classes.

    Returns:
        The log-probability, in nats, [B].

    Raises:
        ValueError: The condition has no classes.
    """
    label = Label.of(cond)
    if label is None:
        raise ValueError("guidance by a classifier needs to know the class of every image: Condition(label=Label(...))")
    logits = F.log_softmax(classify(x, t).to(x.dtype), dim=1)
    chosen = logits.gather(1, label.number.clamp(min=0)[:, None])[:, 0]
    return torch.where(label.number < 0, 0, chosen)


class ClassifierGuidance(Guidance):
    """Guidance of any sampler by a classifier of noised images, in score form.

    eps = eps - (w - 1) sigma g, hence x_0 = x_0 + (w - 1) sigma^2 / alpha g, with g = the gradient of log p(y | x_t) by x_t (Dhariwal and
    Nichol 2021, algorithm 2; Song et al. 2021, arXiv 2011.13456, eq. 14).

    w - 1 is ADM's classifier scale s, and w = 1 is no guidance. If model and classifier are exact, an unconditional model guided with w = 2
    is the conditional one, and a conditional one guided with any w is what classifier-free guidance with the same w makes of it. The
    variance is the model's. An example whose class was dropped is not guided.

    Args:
        classify: (x_t, t) -> logits [B, K]; frozen.
        schedule: That of the model.
        scale: w.
    """

    needs_label = True

    def __init__(self, classify: ClassifyFn, schedule: NoiseSchedule, scale: float):
        self.classify = classify
        self.schedule = schedule
        self.scale = scale
        if isinstance(classify, nn.Module):
            self.models = {"classify": classify}

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            prediction = denoise(x_t, t, cond)
            alpha, sigma = self.schedule(t)
            g = gradient(lambda x: class_log_probability(self.classify, x, t, cond), x_t)
            shift = over((self.scale - 1) * sigma**2 / alpha, x_t) * g
            return Prediction(prediction.x0 + shift, prediction.variance_fraction)

        return guided
