"""Guidance away from the null condition asks the condition whether it can be dropped, whatever the condition is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.conditioning import ConditionDropout
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
from difflab.types import Condition, ConditionPart, DroppablePart, GivenImage, Label, Prediction
from tiny import tiny_denoiser

W = 3.0
AWAY_FROM_NULL: dict[str, Callable[[float], Guidance]] = {
    "classifier_free": ClassifierFree,
    "over_time": lambda w: ClassifierFreeOverTime(w, Constant()),
    "rescaled": lambda w: RescaledClassifierFree(w, 0.0),  # these are then classifier-free guidance
    "adaptive_projected": lambda w: AdaptiveProjected(w, 1.0, torch.inf, 0.0),
}


@dataclass(frozen=True)
class Caption(DroppablePart):
    """A part of another package: an embedded caption."""

    vector: Float[Tensor, "b e"]

    def null(self) -> "Caption":
        return Caption(torch.zeros_like(self.vector))

    def instead(self, value: object) -> "Caption":
        return Caption(torch.full_like(self.vector, value))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pose(ConditionPart):
    """A part of another package that says what the task is."""

    angle: Float[Tensor, " b"]


def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
    told = torch.tanh(Caption.of(cond).vector).sum(1) + Pose.of(cond).angle
    if Label.of(cond) is not None:
        told = told * (2 + Label.of(cond).number)
    return Prediction(torch.tanh(0.5 * x_t) + 0.1 * told[:, None, None, None].to(x_t))


NUMBER = torch.arange(4)
X = ImageNoise(0, NUMBER).normal("x", (1, 4, 4))
T = torch.full((4,), 0.5, dtype=torch.float64)
CAPTIONS = Condition(caption=Caption(ImageNoise(1, NUMBER).normal("caption", (5,))), pose=Pose(torch.linspace(0, 1, 4)))


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
def test_every_droppable_condition_is_guided(name):
    conditional, null = denoise(X, T, CAPTIONS).x0, denoise(X, T, CAPTIONS.null()).x0
    guided = AWAY_FROM_NULL[name](W)(denoise)  # type: ignore[arg-type]
    torch.testing.assert_close(guided(X, T, CAPTIONS).x0, null + W * (conditional - null))
    assert not torch.allclose(conditional, null)


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
def test_and_so_are_whole_samples(name):
    """Both predictions come from one batch of joined conditions: a field that was lost there would stop the denoiser."""
    nested = PerturbedAttention(2.0, [0])(AWAY_FROM_NULL[name](W)(denoise))  # type: ignore[arg-type]
    noise, sampler = ImageNoise(2, NUMBER), DDIM(UniformGrid(5))

    def by_hand(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        null = denoise(x_t, t, CAPTIONS.null()).x0
        return Prediction(null + W * (denoise(x_t, t, CAPTIONS).x0 - null))

    expected = sampler(by_hand, cosine(20), X, CAPTIONS, noise)
    torch.testing.assert_close(sampler(nested, cosine(20), X, CAPTIONS, noise), expected)


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
@pytest.mark.parametrize("cond", [Condition(), Condition(image=GivenImage(X)), Condition(pose=Pose(torch.zeros(4)))])
def test_one_that_is_not_droppable_is_refused_before_and_while_sampling(name, cond):
    denoiser, guidance = tiny_denoiser(), AWAY_FROM_NULL[name](W)
    with pytest.raises(ValueError, match=r"condition that can be dropped.*guidance=\[clip\]"):
        guidance(denoiser)(X.float(), T, cond)
    with pytest.raises(ValueError, match=r"guidance 'this': .*condition that can be dropped"):
        GuidanceCallback({"this": guidance}).check_condition(denoiser, lambda: cond, ConditionDropout(0.1))
    without_effect = GuidanceCallback({"clip": Clip(), "this": AWAY_FROM_NULL[name](1.0)})
    without_effect.check_condition(denoiser, lambda: cond, ConditionDropout())
    without_effect.wrap_denoiser(denoiser)(X.float(), T, cond)


@pytest.mark.parametrize("name", AWAY_FROM_NULL)
def test_what_is_guided_away_from_can_be_given(name):
    """A negative prompt; the other parts are dropped as ever."""
    kinds = {
        "classifier_free": lambda w, negative: ClassifierFree(w, negative),
        "over_time": lambda w, negative: ClassifierFreeOverTime(w, Constant(), negative),
        "rescaled": lambda w, negative: RescaledClassifierFree(w, 0.0, negative),
        "adaptive_projected": lambda w, negative: AdaptiveProjected(w, 1.0, torch.inf, 0.0, negative),
    }
    cond = CAPTIONS.having(label=Label(torch.tensor([0, 1, 2, 3])))
    conditional, negative = denoise(X, T, cond).x0, denoise(X, T, cond.null(instead={"caption": -0.5})).x0
    guided = kinds[name](W, {"caption": -0.5})(denoise)
    torch.testing.assert_close(guided(X, T, cond).x0, negative + W * (conditional - negative))
    assert not torch.allclose(negative, denoise(X, T, cond.null()).x0)
    with pytest.raises(ValueError, match="no 'text' to be dropped: these images are drawn for caption, pose, label"):
        kinds[name](W, {"text": "cat"})(denoise)(X, T, cond)


def test_each_part_has_its_scale_and_they_are_dropped_in_the_order_in_which_they_are_written():
    cond = CAPTIONS.having(label=Label(torch.tensor([0, 1, 2, 3])))
    whole, without_caption, without_both, without_label = (
        denoise(X, T, c).x0
        for c in (cond, cond.null(["caption"]), cond.null(["caption", "label"]), cond.null(["label"]))
    )
    found = ClassifierFree({"caption": 3.0, "label": 1.5})(denoise)(X, T, cond).x0
    expected = without_both + 3.0 * (whole - without_caption) + 1.5 * (without_caption - without_both)
    torch.testing.assert_close(found, expected)
    other = ClassifierFree({"label": 1.5, "caption": 3.0})(denoise)(X, T, cond).x0
    torch.testing.assert_close(
        other, without_both + 1.5 * (whole - without_label) + 3.0 * (without_label - without_both)
    )
    assert not torch.allclose(found, other)
    one = ClassifierFree({"label": 2.0})(denoise)(X, T, cond).x0  # the caption is never dropped
    torch.testing.assert_close(one, without_label + 2.0 * (whole - without_label))


def test_scales_of_one_are_the_conditional_model_exactly_and_cost_nothing():
    assert ClassifierFree({"caption": 1.0, "label": 1.0})(denoise) is denoise
    calls = []

    def counted(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        calls.append(len(x_t))
        return denoise(x_t, t, cond)

    cond = CAPTIONS.having(label=Label(torch.tensor([0, 1, 2, 3])))
    ClassifierFree({"caption": 3.0, "label": 3.0})(counted)(X, T, cond)  # what is between the two has no weight
    ClassifierFree({"caption": 3.0, "label": 1.5})(counted)(X, T, cond)
    assert calls == [8, 12]
    with pytest.raises(ValueError, match=r"scale = \{\} guides by no part"):
        ClassifierFree({})
    with pytest.raises(ValueError, match="negative gives 'label', and scale has no w for it: caption"):
        ClassifierFree({"caption": 2.0}, {"label": 3})
