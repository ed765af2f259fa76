"""Guidance: identities, linearity, nesting."""

import numpy as np
import pytest
import torch
from feeds import FakeNetwork

from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, Clip, chained
from difflab.noise import ImageNoise
from difflab.parameterizations import Epsilon
from difflab.process import eps_from_x0, score_from_x0
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.types import NULL_LABEL, Condition, Label, Prediction
from difflab.variances import LearnedRange

SCHEDULE = cosine(1000)
X_T = torch.from_numpy(np.random.RandomState(0).randn(4, 3, 4, 4))
T = torch.tensor([0.1, 0.4, 0.7, 0.9], dtype=torch.float64)
COND = Condition(label=Label(torch.tensor([1, 3, 5, 9])))
MODEL = Denoiser(FakeNetwork(True), SCHEDULE, Epsilon(), LearnedRange())


def test_scale_1_is_no_guidance_and_scale_0_is_the_unconditional_model_bit_for_bit():
    conditional, unconditional = MODEL(X_T, T, COND), MODEL(X_T, T, COND.null())
    assert not torch.equal(conditional.x0, unconditional.x0)
    assert torch.equal(ClassifierFree(1.0)(MODEL)(X_T, T, COND).x0, conditional.x0)
    assert torch.equal(ClassifierFree(0.0)(MODEL)(X_T, T, COND).x0, unconditional.x0)


@pytest.mark.parametrize("scale", [-1.0, 0.3, 2.5, 7.0])
def test_guidance_is_linear_in_the_scale(scale):
    conditional, unconditional = MODEL(X_T, T, COND).x0, MODEL(X_T, T, COND.null()).x0
    guided = ClassifierFree(scale)(MODEL)(X_T, T, COND).x0
    torch.testing.assert_close(guided, unconditional + scale * (conditional - unconditional), rtol=1e-12, atol=1e-12)


def test_combining_x0_is_combining_eps_and_scores():
    """Ho and Salimans 2022, eq. 6: (1 + w') eps(c) - w' eps(), with our w = 1 + w'."""
    level, w = SCHEDULE(T), 3.0
    guided, conditional, unconditional = (
        prediction.x0
        for prediction in (ClassifierFree(w)(MODEL)(X_T, T, COND), MODEL(X_T, T, COND), MODEL(X_T, T, COND.null()))
    )
    for function in (eps_from_x0, score_from_x0):
        expected = w * function(X_T, conditional, level) - (w - 1) * function(X_T, unconditional, level)
        torch.testing.assert_close(function(X_T, guided, level), expected, rtol=1e-9, atol=1e-9)


def test_the_variance_is_the_conditional_models():
    def denoise(x_t, t, cond, /):
        return Prediction(x_t, Label.of(cond).number.double().reshape(-1, 1, 1, 1).expand_as(x_t))

    fraction = ClassifierFree(4.0)(denoise)(X_T, T, COND).variance_fraction
    assert fraction is not None
    assert fraction[:, 0, 0, 0].tolist() == [1, 3, 5, 9]


def test_both_branches_go_through_one_batch():
    seen = []

    def denoise(x_t, t, cond, /):
        seen.append(Label.of(cond).number.tolist())
        return Prediction(x_t)

    ClassifierFree(2.0)(denoise)(X_T, T, COND)
    assert seen == [[1, 3, 5, 9] + [NULL_LABEL] * 4]


def test_clipping_before_and_after_guidance_differ():
    guided, clip, w = ClassifierFree(3.0), Clip(-0.5, 0.5), 3.0
    conditional, unconditional = (MODEL(X_T, T, cond).x0.clamp(-0.5, 0.5) for cond in (COND, COND.null()))
    inside = chained([clip, guided], MODEL)(X_T, T, COND).x0
    outside = chained([guided, clip], MODEL)(X_T, T, COND).x0
    torch.testing.assert_close(inside, unconditional + w * (conditional - unconditional), rtol=1e-12, atol=1e-12)
    assert torch.equal(outside, guided(MODEL)(X_T, T, COND).x0.clamp(-0.5, 0.5))
    assert inside.abs().max() > 0.5 >= outside.abs().max()
    assert chained([], MODEL) is MODEL


def test_clip_leaves_the_variance_and_what_is_inside():
    loose = Clip(-1e6, 1e6)(MODEL)(X_T, T, COND)
    plain = MODEL(X_T, T, COND)
    assert torch.equal(loose.x0, plain.x0)
    assert torch.equal(loose.variance_fraction, plain.variance_fraction)
    with pytest.raises(ValueError, match="leaves nothing"):
        Clip(1.0, -1.0)


def test_guided_sampling_of_two_gaussians():
    """Classes N(+-m, s^2) in equal parts: guidance moves samples away from the other class, further for a larger scale."""
    m, s = 0.5, 0.2

    def denoise(x_t, t, cond, /):
        alpha, sigma = (v.reshape(-1, 1, 1, 1) for v in SCHEDULE(t))
        var = alpha**2 * s**2 + sigma**2
        label = Label.of(cond).number.reshape(-1, 1, 1, 1).double()
        # without a class, the mixture: posterior of the class from x_t
        of_class = torch.where(label == NULL_LABEL, torch.tanh(alpha * m * x_t / var), 2 * label - 1)
        return Prediction(of_class * m + alpha * s**2 / var * (x_t - alpha * m * of_class))

    noise = ImageNoise(0, torch.arange(400))
    x_T, cond = noise.normal("x_T", (1, 1, 1)), Condition(label=Label(torch.arange(400) % 2))
    sign = (2 * Label.of(cond).number - 1).reshape(-1, 1, 1, 1)
    means = []
    for scale in (1.0, 2.0, 4.0):
        sample = DDIM(UniformGrid(100))(ClassifierFree(scale)(denoise), SCHEDULE, x_T, cond, noise)
        means.append((sign * sample).mean().item())
    assert means[0] == pytest.approx(m, abs=0.03)
    assert means[0] + 0.02 < means[1] < means[2] - 0.02
