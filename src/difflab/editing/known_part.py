"""Inpainting and colorization: a part of the picture is known, and put back before every step.

Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations" (arXiv 2011.13456), appendix I.2 and I.3. The
known part of x_t is drawn from q(x_t | x_0), which is known, and the sampler sees it beside what it has made of the rest:

    step = with_known(sampler.steps(walk), walk, image, Masked(keep))
    state = walk.start(x_T)
    while state.t > 0:
        state = step(state, noise)

It goes around any step that leads from state to state. The rest is drawn given a known part that is noised anew at each time, and so from
the conditional distribution only nearly: Langevin steps in between bring it closer, with `CorrectedWithKnown` as the corrector of
`PredictorCorrector`. The paper's code puts the known part of the time before into what a predictor has made, and leaves the noise of the
last step in the rest; here both are of the time that was reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.process import perturb
from difflab.samplers import SamplerState, Step, Walk
from difflab.samplers.correctors import Correct, Corrector
from difflab.samplers.sampler import by_step
from difflab.types import AlphaSigma


class KnownPart(ABC):
    """Which part of a picture is known: an orthogonal projection P of its pixels."""

    @abstractmethod
    def put(self, x: Float[Tensor, "b c *size"], known: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        """The images with the known part of others: x + P (known - x).

        Args:
            x: Whose rest is kept.
            known: Whose part is taken.
        """


class Masked(KnownPart):
    """Some of the pixels, which are taken bit by bit: inpainting.

    Args:
        keep: True where a pixel is known, broadcastable to the images.
    """

    def __init__(self, keep: Tensor):
        if keep.dtype != torch.bool:
            raise ValueError(f"a mask says of each pixel whether it is known, and is of bool, not of {keep.dtype}")
        self.keep = keep

    def put(self, x: Float[Tensor, "b c *size"], known: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        return torch.where(self.keep.to(x.device), known, x)


class Gray(KnownPart):
    """The mean of the channels of each pixel: colorization of a grey picture, in whichever channels it is repeated.

    The paper turns the colours so that grey is a channel of its own (appendix I.3) and masks that; here nothing needs to be turned, since
    the mean along (1, 1, 1) is the same projection.
    """

    def put(self, x: Float[Tensor, "b c *size"], known: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        return x + (known - x).mean(1, keepdim=True)


def with_known(step: Step, walk: Walk, known: Float[Tensor, "b c *size"], part: KnownPart) -> Step:
    """The same steps between images whose known part is, at each time, that of the given ones with the noise of this time.

    At the end it is that of the given images themselves: masked pixels come out bit by bit.

    Args:
        step: Of any sampler.
        walk: For which it was planned.
        known: Images of which a part is known, [B, C, *size]; the rest is not looked at.
        part: Which part.
    """
    put = _noised(walk, known, part)

    def constrained(state: SamplerState, noise: Noise) -> SamplerState:
        state = step(state.with_image(put(state, noise, "known")), noise)
        return state if state.t > 0 else state.with_image(part.put(state.image, known.to(state.x)))

    return constrained


class CorrectedWithKnown(Corrector):
    """A corrector after which the known part is put back, so that a predictor sees it as it is, too.

    Args:
        corrector: What corrects the whole picture.
        known: Images of which a part is known, [B, C, *size].
        part: Which part.
    """

    def __init__(self, corrector: Corrector, known: Float[Tensor, "b c *size"], part: KnownPart):
        self.corrector, self.known, self.part = corrector, known, part

    def corrections(self, walk: Walk) -> Correct:
        correct, put = self.corrector.corrections(walk), _noised(walk, self.known, self.part)

        def constrained(state: SamplerState, noise: Noise) -> SamplerState:
            state = correct(state, noise)
            return state.with_image(put(state, noise, "known, corrected"))

        return constrained


def _noised(walk: Walk, known: Tensor, part: KnownPart) -> Callable[[SamplerState, Noise, str], Tensor]:
    levels = by_step((level[1:] for level in walk.chain.level), walk.like)

    def put(state: SamplerState, noise: Noise, purpose: str) -> Tensor:
        x = state.image
        z = noise.normal(purpose, tuple(x.shape[1:]), step=state.step).to(x)
        return part.put(x, perturb(known.to(x), z, AlphaSigma(*levels[state.step - 1])))

    return put
