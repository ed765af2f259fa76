"""Guidance around a denoiser."""

import pytest
import torch

from difflab.conditioning import ConditionDropout
from difflab.denoiser import Denoiser
from difflab.guidance import (
    AdaptiveProjected,
    Autoguidance,
    ClassifierFree,
    ClassifierGuidance,
    Clip,
    PerturbedAttention,
)
from difflab.noisy_model import NoisyModel
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine, linear
from difflab.training.callbacks import GuidanceCallback
from difflab.types import Condition, Label
from difflab.variances import FixedSmall
from tiny import CLASSES, TinyNetwork, fit, tiny_denoiser, tiny_module

X = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 3
T = torch.full((4,), 0.9, dtype=torch.float64)
COND = Condition(label=Label(torch.tensor([0, 1, 2, 0])))


def test_the_first_named_guidance_is_innermost():
    denoiser = tiny_denoiser()
    cond, null = denoiser(X, T, COND).x0, denoiser(X, T, COND.null()).x0
    unclipped = null + 7 * (cond - null)
    chains = {
        "clip last": ({"a": ClassifierFree(7.0), "b": Clip()}, unclipped.clamp(-1, 1)),
        "clip first": (
            {"a": Clip(), "b": ClassifierFree(7.0)},
            null.clamp(-1, 1) + 7 * (cond.clamp(-1, 1) - null.clamp(-1, 1)),
        ),
        "none": ({}, cond),
    }
    for name, (guidances, expected) in chains.items():
        torch.testing.assert_close(
            GuidanceCallback(guidances).wrap_denoiser(denoiser)(X, T, COND).x0, expected, msg=name
        )
    assert not torch.allclose(chains["clip last"][1], chains["clip first"][1])


def test_classifier_free_guidance_needs_dropped_conditions():
    guided = {"clip": Clip(), "cfg": ClassifierFree(2.0)}
    with pytest.raises(ValueError, match=r"'cfg'.*condition_dropout=0\.1"):
        GuidanceCallback(guided).check(ConditionDropout())
    GuidanceCallback(guided).check(ConditionDropout(0.1))
    GuidanceCallback({"clip": Clip()}).check(ConditionDropout())
    GuidanceCallback({}).check(ConditionDropout())


def test_the_module_checks_it_at_construction():
    with pytest.raises(ValueError, match="condition_dropout"):
        tiny_module(guidance=GuidanceCallback({"cfg": ClassifierFree(2.0)}))
    tiny_module(guidance=GuidanceCallback({"cfg": ClassifierFree(2.0)}), condition_dropout=0.1)


def test_a_weak_model_is_moved_and_is_neither_trained_nor_saved():
    weak = tiny_denoiser().requires_grad_(False)
    before = {name: value.clone() for name, value in weak.state_dict().items()}
    guidance = GuidanceCallback({"auto": Autoguidance(weak, 2.0)})
    module = tiny_module(guidance=guidance)
    trainer = fit(module)
    assert all(torch.equal(value, before[name]) for name, value in weak.state_dict().items())
    assert not any(p is q for p in weak.parameters() for q in module.parameters())
    assert module.state_dict().keys() == tiny_module().state_dict().keys()
    assert guidance.state_dict() == {}
    assert trainer.global_step == 6
    guidance.to(torch.device("meta"))
    assert all(p.is_meta for p in weak.parameters())


def test_what_cannot_guide_this_model_is_refused_when_training_begins():
    def classify(x_t, t, /):
        return x_t.flatten(1)

    class Wide(TinyNetwork):
        def __init__(self):
            super().__init__()
            self.image_size = 8

    schedule = cosine(20)
    others = {
        "self-attention at no place": PerturbedAttention(2.0, [0]),
        "another noise schedule": Autoguidance(Denoiser(TinyNetwork(), linear(40), Epsilon(), FixedSmall()), 2.0),
        r"images \(1, 8, 8\)": Autoguidance(Denoiser(Wide(), schedule, Epsilon(), FixedSmall()), 2.0),
    }
    for reason, guidance in others.items():
        with pytest.raises(ValueError, match=reason):
            fit(tiny_module(guidance=GuidanceCallback({"x": guidance})))
    by_class = GuidanceCallback({"x": ClassifierGuidance(classify, schedule, 2.0)})
    by_class.check_model(tiny_denoiser(), CLASSES)
    with pytest.raises(ValueError, match="'x' needs to know the class"):
        by_class.check_model(tiny_denoiser(), 0)


def test_a_wrapped_denoiser_remembers_nothing_of_another_batch():
    guidance, denoiser = GuidanceCallback({"apg": AdaptiveProjected(3.0, 0.0, 2.5, -0.5)}), tiny_denoiser()

    def drawn(seeds):
        with torch.no_grad():
            denoise, cond = guidance.wrap_denoiser(denoiser), Condition(label=Label(seeds % CLASSES))
            return draw(denoise, denoiser.schedule, DDIM(UniformGrid(4)), denoiser.image_shape, seeds, cond)

    first = drawn(torch.arange(6))
    drawn(torch.arange(6, 12))
    assert torch.equal(drawn(torch.arange(6)), first)
    torch.testing.assert_close(drawn(torch.arange(2, 4)), first[2:4], rtol=1e-5, atol=1e-5)


def test_a_model_of_ones_own_says_how_many_classes_it_tells_apart():
    class Own(NoisyModel):
        num_classes = 7

        def forward(self, x_t, t):
            return torch.zeros(len(x_t), 7)

    own = Own(TinyNetwork(), cosine(20), Epsilon())
    assert GuidanceCallback({"own": ClassifierGuidance(own, own.schedule, 2.0)}).num_classes == 7
    assert GuidanceCallback({"clip": Clip()}).num_classes == 0


@pytest.mark.parametrize(
    ("guidance", "message"),
    [
        (
            ClassifierFree({"text": 2.0}),
            "guidance 'cfg': there is no 'text' to be dropped: these images are drawn for label",
        ),
        (ClassifierFree(2.0, {"text": "cat"}), "guidance 'cfg': there is no 'text' to be dropped"),
        (ClassifierFree(2.0, {"label": "cat"}), "guidance 'cfg': label: 'cat' is no class number"),
    ],
)
def test_a_negative_or_a_scale_that_the_condition_has_no_part_for_is_refused_before_training(guidance, message):
    callback = GuidanceCallback({"cfg": guidance})
    with pytest.raises(ValueError, match=message):
        callback.check_condition(
            tiny_denoiser(), lambda: Condition(label=Label(torch.tensor([0]))), ConditionDropout(0.1)
        )
