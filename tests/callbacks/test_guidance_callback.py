"""Guidance around a denoiser."""

import pytest
import torch

from difflab.callbacks import GuidanceCallback
from difflab.guidance import ClassifierFree, Clip
from difflab.types import Condition
from tiny import tiny_denoiser, tiny_module

X = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 3
T = torch.full((4,), 0.9, dtype=torch.float64)
COND = Condition(label=torch.tensor([0, 1, 2, 0]))


def test_the_first_named_guidance_is_innermost():
    denoiser = tiny_denoiser()
    cond, null = denoiser(X, T, COND).x0, denoiser(X, T, COND.drop()).x0
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
        GuidanceCallback(guided).check(0.0)
    GuidanceCallback(guided).check(0.1)
    GuidanceCallback({"clip": Clip()}).check(0.0)
    GuidanceCallback({}).check(0.0)


def test_the_module_checks_it_at_construction():
    with pytest.raises(ValueError, match="condition_dropout"):
        tiny_module(guidance=GuidanceCallback({"cfg": ClassifierFree(2.0)}))
    tiny_module(guidance=GuidanceCallback({"cfg": ClassifierFree(2.0)}), condition_dropout=0.1)
