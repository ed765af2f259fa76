"""Dynamic thresholding and rescaling."""

import pytest
import torch
from guided_kinds import COND, X_T, T, loud, smooth

from difflab.guidance import ClassifierFree, DynamicThreshold, RescaledClassifierFree
from difflab.types import Prediction

LOUD = loud(X_T, T, COND).x0


@pytest.mark.parametrize("p", [0.0, 0.31, 0.8, 0.995, 1.0])
def test_the_threshold_is_the_quantile_of_each_image(p):
    found = DynamicThreshold(p)(loud)(X_T, T, COND).x0
    s = torch.quantile(LOUD.abs().flatten(1), p, dim=1).clamp(min=1)[:, None, None, None]
    torch.testing.assert_close(found, LOUD.clamp(-s, s) / s, rtol=1e-12, atol=1e-12)
    assert found.abs().max() <= 1


def test_images_inside_stay_bit_for_bit_and_others_fill_the_range():
    assert torch.equal(DynamicThreshold(0.5)(smooth)(X_T, T, COND).x0, smooth(X_T, T, COND).x0)
    full = DynamicThreshold(1.0)(loud)(X_T, T, COND).x0
    torch.testing.assert_close(full.abs().amax((1, 2, 3)), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(full * LOUD.abs().amax((1, 2, 3), keepdim=True), LOUD)


def test_a_batch_with_more_values_than_torch_quantile_takes():
    x = torch.zeros(2, 1, 1, 2**23 + 1)
    x[1, ..., ::2] = 3.0
    found = DynamicThreshold(0.9)(lambda x_t, t, cond, /: Prediction(x_t))(
        x, torch.ones(2, dtype=torch.float64), COND.select(slice(2))
    )
    assert found.x0.amax((1, 2, 3)).tolist() == [0, 1]


def test_a_percentile_is_not_a_quantile():
    with pytest.raises(ValueError, match=r"0\.995"):
        DynamicThreshold(99.5)


def test_rescaling_restores_the_contrast_of_the_conditional_prediction():
    cond, plain = smooth(X_T, T, COND).x0, ClassifierFree(4.0)(smooth)(X_T, T, COND).x0
    spread = [image.std((1, 2, 3)) for image in (cond, plain)]
    assert (spread[0] - spread[1]).abs().min() > 0.01
    full = RescaledClassifierFree(4.0, 1.0)(smooth)(X_T, T, COND).x0
    torch.testing.assert_close(full.std((1, 2, 3)), spread[0])
    torch.testing.assert_close(full / plain, (spread[0] / spread[1])[:, None, None, None].expand_as(full))
    half = RescaledClassifierFree(4.0, 0.5)(smooth)(X_T, T, COND).x0
    torch.testing.assert_close(half, (full + plain) / 2)
    assert torch.equal(RescaledClassifierFree(4.0, 0.0)(smooth)(X_T, T, COND).x0, plain)


def test_rescaling_an_image_without_contrast_and_a_phi_that_is_no_share():
    flat = RescaledClassifierFree(4.0, 0.7)(lambda x_t, t, cond, /: Prediction(torch.zeros_like(x_t)))
    assert torch.equal(flat(X_T, T, COND).x0, torch.zeros_like(X_T))
    with pytest.raises(ValueError, match="phi"):
        RescaledClassifierFree(4.0, 1.5)
