"""Guidance away from the null condition asks the condition whether it can be dropped, whatever the condition is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.guidance import (
    AdaptiveProjected,
    ClassifierFree,
    ClassifierFreeOverTime,
    Clip,
    Guidance,
    PerturbedAttention,
    RescaledClassifierFree,
)
from difflab.guidance.shapes import Constant
from difflab.noise import ImageNoise
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.training.callbacks import GuidanceCallback
from difflab.types import Condition, Prediction
from tiny import tiny_denoiser

W = 3.0
AWAY_FROM_NULL: dict[str, Callable[[float], Guidance]] = {
    "classifier_free": ClassifierFree,
    "over_time": lambda w: ClassifierFreeOverTime(w, Constant()),
    "rescaled": lambda w: RescaledClassifierFree(w, 0.0),  # these are then classifier-free guidance
    "adaptive_projected": lambda w: AdaptiveProjected(w, 1.0, torch.inf, 0.0),
}


@dataclass(frozen=True)
class Captioned(Condition):
    """A condition of another package: an embedded caption, and a pose that says what the task is."""

    caption: Float[Tensor, "b e"] | None = field(default=None, metadata={"null": 0.0})
    pose: Float[Tensor, " b"] | None = None


def denoise(x_t: Tensor, t: Tensor, cond: Captioned, /) -> Prediction:
    assert cond.caption is not None
    assert cond.pose is not None
    told = torch.tanh(cond.caption).sum(1) + cond.pose
    return Prediction(torch.tanh(0.5 * x_t) + 0.1 * told[:, None, None, None].to(x_t))


NUMBER = torch.arange(4)
X = ImageNoise(0, NUMBER).normal("x", (1, 4, 4))
T = torch.full((4,), 0.5, dtype=torch.float64)
CAPTIONS = Captioned(caption=ImageNoise(1, NUMBER).normal("caption", (5,)), pose=torch.linspace(0, 1, 4))


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
def test_every_droppable_condition_is_guided(name):
    conditional, null = denoise(X, T, CAPTIONS).x0, denoise(X, T, CAPTIONS.drop()).x0
    guided = AWAY_FROM_NULL[name](W)(denoise)  # type: ignore[arg-type]
    torch.testing.assert_close(guided(X, T, CAPTIONS).x0, null + W * (conditional - null))
    assert not torch.allclose(conditional, null)


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
def test_and_so_are_whole_samples(name):
    """Both predictions come from one batch of joined conditions: a field that was lost there would stop the denoiser."""
    nested = PerturbedAttention(2.0, [0])(AWAY_FROM_NULL[name](W)(denoise))  # type: ignore[arg-type]
    noise, sampler = ImageNoise(2, NUMBER), DDIM(UniformGrid(5))

    def by_hand(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        null = denoise(x_t, t, CAPTIONS.drop()).x0
        return Prediction(null + W * (denoise(x_t, t, CAPTIONS).x0 - null))

    expected = sampler(by_hand, cosine(20), X, CAPTIONS, noise)
    torch.testing.assert_close(sampler(nested, cosine(20), X, CAPTIONS, noise), expected)


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
@pytest.mark.parametrize("cond", [Condition(), Condition(image=X), Captioned(pose=torch.zeros(4))])
def test_one_that_is_not_droppable_is_refused_before_and_while_sampling(name, cond):
    denoiser, guidance = tiny_denoiser(), AWAY_FROM_NULL[name](W)
    with pytest.raises(ValueError, match=r"condition that can be dropped.*guidance=\[clip\]"):
        guidance(denoiser)(X.float(), T, cond)
    with pytest.raises(ValueError, match=r"guidance 'this': .*condition that can be dropped"):
        GuidanceCallback({"this": guidance}).check_condition(denoiser, lambda: cond)
    without_effect = GuidanceCallback({"clip": Clip(), "this": AWAY_FROM_NULL[name](1.0)})
    without_effect.check_condition(denoiser, lambda: cond)
    without_effect.wrap_denoiser(denoiser)(X.float(), T, cond)
