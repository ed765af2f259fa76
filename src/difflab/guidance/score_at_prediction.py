"""Guidance by any differentiable score of the predicted image, at that image."""

from __future__ import annotations

from torch import Tensor, nn

from difflab.guidance.guidance import Guidance, gradient
from difflab.guidance.scores import Score
from difflab.process import over
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, Prediction


class ScoreAtPrediction(Guidance):
    """x_0 = x_0 + (w - 1) v g, with g = the gradient of score by the predicted x_0, and v = sigma^2 s^2 / (alpha^2 s^2 + sigma^2).

    `ScoreThroughDenoiser` with its Cov[x_0 | x_t] replaced by v I, the one of Gaussian data with standard deviation s (Song et al. 2023,
    "Pseudoinverse-Guided Diffusion Models", where s = 1): nothing goes backwards through the network, which costs next to nothing. For such
    data the two are the same. w = 1 is no guidance. The variance is the model's.

    Args:
        score: x_0 -> [B], higher is better.
        schedule: That of the model.
        scale: w.
        data_std: s.
    """

    def __init__(self, score: Score, schedule: NoiseSchedule, scale: float, data_std: float):
        self.score = score
        self.schedule = schedule
        self.scale = scale
        self.data_std = data_std
        if isinstance(score, nn.Module):
            self.models = {"score": score}

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            prediction = denoise(x_t, t, cond)
            alpha, sigma = self.schedule(t)
            v = (sigma * self.data_std) ** 2 / ((alpha * self.data_std) ** 2 + sigma**2)
            shift = over((self.scale - 1) * v, x_t) * gradient(self.score, prediction.x0)
            return Prediction(prediction.x0 + shift, prediction.variance_fraction)

        return guided
