"""Mirroring against its definition, pixel by pixel."""

import pytest
import torch

from difflab.data import HorizontalFlip
from difflab.noise import ImageNoise


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_image_is_mirrored_if_its_number_draws_less_than_a_half(dtype, layout):
    noise = ImageNoise(3, torch.arange(100, 160))
    images = (
        (ImageNoise(0, torch.arange(60)).uniform("pixels", (3, 5, 4)) * 256).to(dtype).contiguous(memory_format=layout)
    )
    before = images.clone()
    found = HorizontalFlip()(images, noise)
    flipped = noise.uniform("flip") < 0.5
    assert 15 < int(flipped.sum()) < 45
    for image, original, mirrored in zip(found, before, flipped.tolist(), strict=True):
        assert torch.equal(image, original.flip(-1) if mirrored else original)
    assert torch.equal(images, before)  # the data set's own pixels are left alone
