import pytest
import torch

from difflab.features import to_uint8, to_uint8_truncated

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_every_level_survives_the_way_there_and_back():
    assert torch.equal(to_uint8(LEVELS.float() / 127.5 - 1), LEVELS)


def test_truncation_loses_the_63_levels_that_guided_diffusion_loses():
    x = LEVELS.float() / 127.5 - 1
    published = ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    assert torch.equal(to_uint8_truncated(x), published)
    assert int((to_uint8_truncated(x) != LEVELS).sum()) == 63


def test_truncation_darkens_by_half_a_level_and_rounding_does_not():
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9
    exact = (x + 1) * 127.5
    assert (to_uint8_truncated(x).float() - exact).mean().item() == pytest.approx(-0.5, abs=0.01)
    assert (to_uint8(x).float() - exact).mean().item() == pytest.approx(0, abs=0.01)


def test_values_outside_the_range_are_clamped():
    x = torch.tensor([-3.0, -1.001, 1.001, 3.0]).reshape(1, 1, 2, 2)
    for quantize in (to_uint8, to_uint8_truncated):
        assert quantize(x).flatten().tolist() == [0, 0, 255, 255]


def test_nan_is_refused_and_the_image_named():
    x = torch.zeros(3, 1, 2, 2)
    x[2, 0, 1, 1] = float("nan")
    with pytest.raises(ValueError, match="image 2 of this batch of 3"):
        to_uint8(x)
