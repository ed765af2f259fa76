"""One call of the model, from noise to an image."""

from __future__ import annotations

from difflab.noise import Noise
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk


class OnePass(Sampler):
    """x_0 as it is predicted at t = 1, of noise alone: how generators draw (VAE, GAN, flows), and consistency models in one step.

    It has no grid of times and nothing random but x_T.
    """

    one_step = True

    def steps(self, walk: Walk) -> Step:
        def step(state: SamplerState, noise: Noise) -> SamplerState:
            x_0 = walk.predict(state.image, state.t).x0
            return SamplerState(x_0, 0.0, 0, x0=x_0)

        return step
