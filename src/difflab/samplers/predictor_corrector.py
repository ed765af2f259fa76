"""Predictor-corrector samplers: any sampler's steps, and Langevin dynamics before each of them."""

from __future__ import annotations

from collections.abc import Callable

from difflab.noise import Noise
from difflab.samplers.correctors import Corrector
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk


class PredictorCorrector(Sampler):
    """At each time of the grid the corrector, then a step of the predictor (Song et al. 2021, arXiv 2011.13456, algorithm 1, appendix G).

        sampler = PredictorCorrector(UniformGrid(1000), ReverseDiffusion, LangevinCorrector(snr=0.16))

    The predictor is any sampler: those of the paper (`predictors`; ancestral sampling is `DDPM`, with the variance beta where variance is
    preserved and the posterior's where it explodes), or a solver of the probability-flow equation. The corrector comes first at each time,
    as in the paper's code: so the last thing done is a step of the predictor to the clean image, and none is corrected where no noise is
    left. A sampler that remembers past predictions remembers those of its own steps.

    Args:
        grid: The times; it needs no time near 0, since the last step ends at the clean image.
        predictor: Grid -> sampler.
        corrector: What is done before each of its steps.
    """

    def __init__(self, grid: Grid, predictor: Callable[[Grid], Sampler], corrector: Corrector):
        self.grid = grid
        self.predictor = predictor(grid)
        self.corrector = corrector
        self.prior, self.churn, self.one_step = self.predictor.prior, self.predictor.churn, self.predictor.one_step
        self.process = self.predictor.process

    def steps(self, walk: Walk) -> Step:
        predict, correct = self.predictor.steps(walk), self.corrector.corrections(walk)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            return predict(correct(state, noise), noise)

        return step
