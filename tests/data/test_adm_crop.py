"""Pillow's resampling is recomputed here from its definition (weights of a kernel, horizontal pass, then vertical)."""

import numpy as np
import pytest
from PIL import Image

from difflab.data.image_file import adm_crop


def box(x: np.ndarray) -> np.ndarray:
    return ((x > -0.5) & (x <= 0.5)).astype(float)


def bicubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def resample_rows(pixels: np.ndarray, size: int, kernel, support: float) -> np.ndarray:
    """[n, ...] -> [size, ...], rounded to grey levels as after each of Pillow's passes."""
    ratio = len(pixels) / size
    width = max(ratio, 1.0)
    rows = []
    for row in range(size):
        centre = (row + 0.5) * ratio
        source = np.arange(
            max(int(centre - support * width + 0.5), 0), min(int(centre + support * width + 0.5), len(pixels))
        )
        weights = kernel((source + 0.5 - centre) / width)
        rows.append(np.tensordot(weights / weights.sum(), pixels[source], 1))
    return np.clip(np.floor(np.stack(rows) + 0.5), 0, 255)


def resample(pixels: np.ndarray, width: int, height: int, kernel, support: float) -> np.ndarray:
    columns = resample_rows(pixels.astype(float).swapaxes(0, 1), width, kernel, support).swapaxes(0, 1)
    return resample_rows(columns, height, kernel, support)


def expected_crop(pixels: np.ndarray, size: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    while min(height, width) >= 2 * size:
        height, width = height // 2, width // 2
        pixels = resample(pixels, width, height, box, 0.5)
    scale = size / min(height, width)
    pixels = resample(pixels, round(width * scale), round(height * scale), bicubic, 2)
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(131, 67, 16), (50, 75, 16), (33, 47, 32), (20, 31, 32), (257, 301, 64), (64, 63, 32), (40, 17, 17), (71, 71, 9)],
)
def test_sizes_odd_and_even_are_cropped_as_defined(width, height, size):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    found = np.asarray(adm_crop(Image.fromarray(pixels), size)).astype(float)
    expected = expected_crop(pixels, size)
    assert found.shape == (size, size, 3)
    difference = np.abs(found - expected)  # fixed-point weights may tip a rounding, rarely
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_an_image_of_the_right_size_is_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(np.asarray(adm_crop(Image.fromarray(pixels), 8)), pixels)


def test_a_wide_image_keeps_its_middle():
    pixels = np.zeros((8, 19), np.uint8)
    pixels[:, 5:13] = 200  # offset (19 - 8) // 2 = 5
    assert (np.asarray(adm_crop(Image.fromarray(pixels), 8)) == 200).all()
