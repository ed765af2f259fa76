"""Random crops: which part of the image is left, and that it depends on the image's number alone."""

import pytest
import torch

from difflab.data import RandomCrop
from difflab.noise import ImageNoise

SIZE = 64
ROW = torch.arange(SIZE, dtype=torch.float64)
RAMP = torch.stack([ROW[:, None].expand(SIZE, SIZE), ROW[None].expand(SIZE, SIZE)])  # each pixel's own place


def test_a_part_is_a_square_of_the_image_with_a_side_in_the_range():
    noise = ImageNoise(0, torch.arange(300))
    parts = RandomCrop(0.8)(RAMP.expand(300, 2, SIZE, SIZE), noise)
    top, bottom = parts[:, 0, 1, 32], parts[:, 0, -2, 32]
    left, right = parts[:, 1, 32, 1], parts[:, 1, 32, -2]
    height, width = (bottom - top) / (SIZE - 3), (right - left) / (SIZE - 3)
    torch.testing.assert_close(
        height, width, rtol=0, atol=0.02
    )  # beyond the outermost pixels' centres nothing is made up
    assert 0.79 < height.min() < 0.83
    assert 0.97 < height.max() <= 1.001
    assert parts.min() >= 0
    assert parts.max() <= SIZE - 1
    for first in (top, left):  # the part is anywhere: what is left over is divided evenly
        place = first / ((1 - height) * SIZE + 1e-9)
        assert (place > 0.9).any()
        assert (place < 0.2).any()


def test_what_happens_to_an_image_depends_on_its_number():
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    crop = RandomCrop(0.8)
    together = crop(images, ImageNoise(3, torch.arange(5)))
    alone = crop(images[3:4], ImageNoise(3, torch.tensor([3])))
    assert together.dtype == torch.uint8
    assert torch.equal(together[3:4], alone)
    assert not torch.equal(together, crop(images, ImageNoise(4, torch.arange(5))))


def test_the_whole_is_the_image_itself():
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(RandomCrop(1.0)(images, ImageNoise(0, torch.arange(5))), images)
    with pytest.raises(ValueError, match="min_share"):
        RandomCrop(0.0)
