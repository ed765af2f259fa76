"""Guidance by any differentiable score of the predicted image, through the denoiser."""

from __future__ import annotations

from torch import Tensor, nn

from difflab.guidance.guidance import Guidance, detached, gradient, is_differentiated
from difflab.guidance.scores import Score
from difflab.process import over
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, Prediction


class ScoreThroughDenoiser(Guidance):
    """x_0 = x_0 + (w - 1) sigma^2 / alpha g, with g = the gradient of score(x_0(x_t)) by x_t: eps = eps - (w - 1) sigma g.

    (Chung et al. 2023, "Diffusion Posterior Sampling", arXiv 2209.14687; Bansal et al. 2023, "Universal Guidance", arXiv 2302.07121,
    forward guidance.)

    The score, a log-probability up to a constant, is taken of the predicted image, for which it was made, and differentiated through the
    network, with the memory of a training step. Since the gradient of x_0 by x_t is alpha / sigma^2 Cov[x_0 | x_t], the shift is (w - 1)
    Cov[x_0 | x_t] times the gradient of the score at x_0. w = 1 is no guidance, w = 2 the score as it is; the papers' own scales are w - 1.
    The variance is the model's.

    Args:
        score: x_0 -> [B], higher is better.
        schedule: That of the model.
        scale: w.
    """

    def __init__(self, score: Score, schedule: NoiseSchedule, scale: float):
        self.score = score
        self.schedule = schedule
        self.scale = scale
        if isinstance(score, nn.Module):
            self.models = {"score": score}

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            predicted: list[Prediction] = []  # on the way to the score, so that the network is asked once

            def score_of(x: Tensor) -> Tensor:
                predicted.append(denoise(x, t, cond))
                return self.score(predicted[0].x0)

            g = gradient(score_of, x_t)
            prediction = predicted[0] if is_differentiated(x_t) else detached(predicted[0])
            alpha, sigma = self.schedule(t)
            shift = over((self.scale - 1) * sigma**2 / alpha, x_t) * g
            return Prediction(prediction.x0 + shift, prediction.variance_fraction)

        return guided
