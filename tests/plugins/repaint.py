"""RePaint (Lugmayr et al. 2022, arXiv 2201.09865, algorithm 1): inpainting with any sampler, with travels back in time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.data import ImageDataset
from difflab.noise import Noise
from difflab.process import over
from difflab.samplers import Sampler, SamplerState, Step, Walk


class Travel(NamedTuple):
    """What is remembered: what the sampler inside remembers, and how often was gone back to each of the chain's times."""

    inner: Any
    returns: dict[int, int]


class Round:
    """The noise of one more visit: other numbers for everything."""

    def __init__(self, noise: Noise, round: int):
        self.noise, self.round = noise, round

    @property
    def number(self) -> Tensor:
        return self.noise.number

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        return self.noise.normal(f"{purpose}/{self.round}" if self.round else purpose, shape, step)

    def uniform(self, purpose: str, shape: tuple[int, ...] = (), step: int = 0) -> Tensor:
        return self.noise.uniform(f"{purpose}/{self.round}" if self.round else purpose, shape, step)

    def shared(self, divisor: int) -> Noise:
        return Round(self.noise.shared(divisor), self.round)


class RePaint(Sampler):
    """Before each step but the first, the known part is put back, with the noise of that time.

    Every `jump` steps it goes `jump` steps back up.

    Args:
        sampler: Takes the steps.
        known: Images, of which image number n has the known part of the n-th that is drawn.
        columns: So many columns, from the left, are known.
        jump: Steps between returns, and of a return.
        returns: How often each stretch is walked again.
    """

    def __init__(self, sampler: Sampler, known: ImageDataset, columns: int, jump: int = 10, returns: int = 9):
        self.sampler, self.known, self.columns = sampler, known, columns
        self.jump, self.returns = jump, returns
        self.grid, self.prior = sampler.grid, sampler.prior

    def part(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """The known images, and where they are known."""
        numbers = (noise.number % len(self.known)).tolist()
        images = self.known.images(numbers).to(x.device).to(x) / 127.5 - 1
        return images, torch.arange(x.shape[-1], device=x.device) < self.columns

    def steps(self, walk: Walk) -> Step:
        inner, chain = self.sampler.steps(walk), walk.chain

        def at(i: int, x: Tensor) -> tuple[Tensor, Tensor]:
            alpha, sigma = (value.expand(len(x)) for value in chain[i])
            return over(alpha, x), over(sigma, x)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            memory = state.memory or Travel(None, {})
            i, shape = state.step, tuple(state.x.shape[1:])
            again = Round(noise, sum(memory.returns.values()))
            if state.memory is not None:
                x = state.image
                (known, where), (alpha, sigma) = self.part(x, noise), at(i, x)
                pasted = torch.where(where, alpha * known + sigma * again.normal("known", shape, step=i).to(x), x)
                state = state.with_image(pasted)
            after = inner(state._replace(memory=memory.inner), again)
            i, returns = after.step, memory.returns
            place = i - 1
            if i and not place % self.jump and place < len(chain) - self.jump and returns.get(place, 0) < self.returns:
                x = after.image
                for up in range(i + 1, i + self.jump + 1):
                    move = chain.transition(torch.full((len(x),), up))
                    z = again.normal("return", shape, step=up).to(x)
                    x = over(move.alpha_ts, x) * x + over(move.var_ts.sqrt(), x) * z
                after = walk.start(x, i + self.jump)
                returns = {**returns, place: returns.get(place, 0) + 1}
            return after._replace(memory=Travel(after.memory, returns))

        return step
