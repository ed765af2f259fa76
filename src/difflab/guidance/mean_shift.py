"""Guidance by a classifier of noised images, as ancestral sampling was first guided: by a shift of each step's mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from difflab.guidance.classifier import class_log_probability
from difflab.guidance.guidance import Guidance, gradient
from difflab.process import Transition, over, posterior_mean
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import ClassifyFn, Condition, DenoiseFn, Prediction
from difflab.variances import Variance


class MeanShift(Guidance, ABC):
    """Shift of each step's mean: mean = mean + (w - 1) Sigma g in the step from t to s (Dhariwal and Nichol 2021, algorithm 1).

    Here g = the gradient of log p(y | .). w - 1 is ADM's classifier scale s, and w = 1 is no guidance. Like the score form
    (`ClassifierGuidance`), it makes with w = 2 a conditional model of an unconditional one, if the steps are small. An example whose class
    was dropped is not guided.

    The mean is coef_x0 x_0 + coef_xt x_t, so that the shift is one of x_0, (w - 1) Sigma g / coef_x0, and this is a guidance like any
    other. But it holds for the steps of one sampler: `samplers.DDPM` with the same grid and variance, which in the configuration are the
    sampler's own. ADM clips x_0 before the mean is shifted and not after: put `Clip` inside.

    Args:
        classify: (x_t, t) -> logits [B, K]; frozen.
        schedule: That of the model.
        grid: Schedule -> times of the sampler.
        variance: The sampler's.
        scale: w.
    """

    needs_label = True

    def __init__(
        self,
        classify: ClassifyFn,
        schedule: NoiseSchedule,
        grid: Callable[[NoiseSchedule], Tensor],
        variance: Variance,
        scale: float,
    ):
        self.classify = classify
        self.schedule = schedule
        self.grid = grid
        self.variance = variance
        self.scale = scale
        if isinstance(classify, nn.Module):
            self.models = {"classify": classify}

    @abstractmethod
    def looked_at(self, x_t: Tensor, t: Tensor, mean: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Where the gradient is taken.

        Args:
            x_t: The image before the step, [B, C, H, W].
            t: Its time, [B].
            mean: The mean of the step, [B, C, H, W].
            s: The time after the step, [B].

        Returns:
            An image [B, C, H, W], and the time [B] that the classifier is told.
        """

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise
        own = Chain(self.schedule, self.grid(self.schedule))

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            prediction, chain = denoise(x_t, t, cond), own.to(x_t.device)
            i = chain.index(t).clamp(1, len(chain))
            if not torch.equal(chain.times[i], t):
                raise ValueError(
                    "a shift of the mean belongs to the steps of one grid, and the sampler is at a time that is not on it: give both the "
                    "same grid, or use guidance=[classifier], which serves any sampler"
                )
            step = chain.transition(i)
            mean = posterior_mean(step, prediction.x0, x_t)
            # the last step ends at t = 0, of which no classifier has learned anything: it is asked about the time before
            s = torch.where(step.final, t, chain.times[i - 1])
            x, time = self.looked_at(x_t, t, mean, s)
            g = gradient(lambda image: class_log_probability(self.classify, image, time, cond), x)
            return Prediction(prediction.x0 + self._shift(prediction, step, g), prediction.variance_fraction)

        return guided

    def _shift(self, prediction: Prediction, step: Transition, g: Tensor) -> Tensor:
        var = self.variance.var(prediction.variance_fraction, step, g)
        return over((self.scale - 1) / step.coef_x0, g) * var * g


class MeanShiftAtImage(MeanShift):
    """Shift by g = grad log p(y | x_t) at time t, before the step.

    It is what ADM's published code computes, and so its published numbers.
    """

    def looked_at(self, x_t: Tensor, t: Tensor, mean: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        return x_t, t


class MeanShiftAtMean(MeanShift):
    """Shift by g = grad log p(y | x_s) at x_s = mean and time s, after the step.

    It is what ADM derives (eq. 3 to 10), a Taylor expansion around the mean of the step.
    """

    def looked_at(self, x_t: Tensor, t: Tensor, mean: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        return mean, s
