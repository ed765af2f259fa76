"""What holds for every guidance and for every two of them around each other."""

import pytest
import torch
from guided_kinds import ACTIVE, COND, NEUTRAL, OF_SCALE, X_T, T, loud, smooth

from difflab.guidance import chained
from difflab.types import Condition
from one_pass import each


def pairs(kinds):
    """(inner, outer): each around itself, and each around and inside of the one that asks most of what it lies around, its gradient."""
    one = "score_through_denoiser"
    return list(dict.fromkeys(pair for kind in kinds for pair in ((kind, kind), (kind, one), (one, kind))))


@each(("inner", "outer"), pairs(NEUTRAL))
def test_what_does_nothing_does_nothing_in_any_nesting(inner, outer):
    plain = smooth(X_T, T, COND)
    with torch.no_grad():
        guided = chained([NEUTRAL[inner](), NEUTRAL[outer]()], smooth)(X_T, T, COND)
    assert torch.equal(guided.x0, plain.x0)
    assert torch.equal(guided.variance_fraction, plain.variance_fraction)


def test_all_of_them_at_once_do_nothing():
    guidances = [make() for make in NEUTRAL.values()]
    for chain in (guidances, guidances[::-1]):
        assert torch.equal(chained(chain, smooth)(X_T, T, COND).x0, smooth(X_T, T, COND).x0)


@each("kind", OF_SCALE)
def test_the_scale_multiplies_one_shift_that_is_nothing_at_1(kind):
    """Beside the shortcut at w = 1: the arithmetic tends to the same."""

    def shift(w):
        return OF_SCALE[kind](w)(smooth)(X_T, T, COND).x0 - smooth(X_T, T, COND).x0

    unit = shift(2.0)
    assert unit.abs().amax((1, 2, 3)).min() > 1e-6
    for w in (1 + 1e-9, 0.0, -1.5, 4.0):
        torch.testing.assert_close(shift(w), (w - 1) * unit, rtol=1e-9, atol=1e-12)
    assert torch.equal(shift(1.0), torch.zeros_like(unit))


@each(("inner", "outer"), pairs(ACTIVE))
def test_nested_guidances_pass_on_the_variance_and_keep_the_type(inner, outer):
    for dtype in (torch.float64, torch.float32):
        x_t = X_T.to(dtype)
        plain = loud(x_t, T, COND)
        with torch.no_grad():
            guided = chained([ACTIVE[inner](), ACTIVE[outer]()], loud)(x_t, T, COND)
        assert guided.x0.dtype == dtype
        assert guided.x0.isfinite().all()
        assert not guided.x0.requires_grad
        assert not torch.allclose(guided.x0, plain.x0)
        assert torch.equal(guided.variance_fraction, plain.variance_fraction)


@each(("inner", "outer"), pairs(ACTIVE))
def test_an_image_does_not_depend_on_its_batch_mates(inner, outer):
    def guided(index):
        denoise = chained([ACTIVE[inner](), ACTIVE[outer]()], loud)
        with torch.no_grad():  # two times, for those who remember
            denoise(X_T[index] + 1, T[index] + 0.05, COND.select(index))
            return denoise(X_T[index], T[index], COND.select(index)).x0

    together = guided(torch.arange(4))
    for index in ([2], [3, 0]):
        torch.testing.assert_close(guided(torch.tensor(index)), together[index], rtol=1e-12, atol=1e-13)


@each("kind", ACTIVE)
def test_a_guided_denoiser_can_be_differentiated(kind):
    """Against a difference quotient; with it any guidance by gradients may lie around any other."""
    direction = torch.randn(X_T.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def total(x_t):
        return (ACTIVE[kind]()(loud)(x_t, T, COND).x0 * direction.cos()).sum()

    x_t, h = X_T.clone().requires_grad_(), 1e-6
    (by_x,) = torch.autograd.grad(total(x_t), x_t)
    expected = (total(X_T + h * direction) - total(X_T - h * direction)) / (2 * h)
    torch.testing.assert_close((by_x * direction).sum(), expected, rtol=1e-6, atol=1e-8)


@each("kind", ["classifier_free", "linear", "interval", "rescaled", "adaptive_projected"])
def test_a_condition_that_cannot_be_dropped_is_refused(kind):
    with pytest.raises(ValueError, match="condition that can be dropped"):
        ACTIVE[kind]()(smooth)(X_T, T, Condition())


def test_who_needs_what():
    kinds = {name: make() for name, make in ACTIVE.items()}
    null = {"classifier_free", "linear", "interval", "rescaled", "adaptive_projected"}
    assert {name for name, kind in kinds.items() if kind.needs_null_condition} == null
    assert {name for name, kind in kinds.items() if kind.needs_label} == {"classifier"}
    assert {name for name, kind in kinds.items() if kind.attention_places} == {"perturbed_attention"}
    assert not any(kind.models for kind in kinds.values())  # functions have no weights
