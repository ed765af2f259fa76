"""Predictor-corrector sampling (Song et al. 2021, arXiv 2011.13456, algorithm 1): any sampler's step, then Langevin steps."""

from __future__ import annotations

import torch

from difflab.noise import Noise
from difflab.process import over
from difflab.samplers import Sampler, SamplerState, Step, Walk


class PredictorCorrector(Sampler):
    """x += e score + sqrt(2 e) z, e = 2 a (snr |z| / |score|)^2, a = 1 - beta of the step (1 where noise is added and nothing scaled).

    The norms are those of the image itself and not means over the batch, so that an image does not depend on those beside it.

    Args:
        sampler: The predictor.
        snr: How far a corrector step goes.
        corrections: Langevin steps after each step of the predictor.
    """

    def __init__(self, sampler: Sampler, snr: float = 0.16, corrections: int = 1):
        self.sampler, self.snr, self.corrections = sampler, snr, corrections
        self.grid, self.prior = sampler.grid, sampler.prior

    def steps(self, walk: Walk) -> Step:
        predict = self.sampler.steps(walk)
        alpha, sigma = (value.tolist() for value in walk.chain.level)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            state = predict(state, noise)
            i, x = state.step, state.image
            if not i or not self.corrections:
                return state
            kept = (alpha[i] / alpha[i - 1]) ** 2
            for k in range(self.corrections):
                score = (alpha[i] * walk.predict(x, state.t).x0 - x) / sigma[i] ** 2
                z = noise.normal("corrector", tuple(x.shape[1:]), step=i * self.corrections + k).to(x)
                size = 2 * kept * (self.snr * z.flatten(1).norm(dim=1) / score.flatten(1).norm(dim=1)) ** 2
                x = x + over(size, x) * score + over(torch.sqrt(2 * size), x) * z
            return state.with_image(x)

        return step
