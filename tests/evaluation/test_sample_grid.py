"""Pictures of many images: near a square, each class where a reader finds it."""

from itertools import product

import pytest
import torch
from torchvision.utils import make_grid

from difflab.pictures import LONG, grid_layout, grid_of
from one_pass import each

COUNTS, CLASSES = (1, 2, 5, 10, 16, 36, 64, 100, 250), (0, 1, 2, 3, 10, 37, 1000)


@each(
    ("classes", "count", "aspect"),
    product(CLASSES, COUNTS, [1.0, 3.0]),
)
def test_every_image_has_a_place_of_its_own_in_a_picture_near_a_square(count, classes, aspect):
    layout = grid_layout(count, classes, aspect)
    places = [layout.position(i) for i in range(count)]
    assert len(set(places)) == count
    assert all(row < layout.height and column < layout.width for row, column in places)
    ratio = layout.width * aspect / layout.height
    assert max(ratio, 1 / ratio) <= max(LONG, 3 if count < 10 else 0)
    assert layout.width * layout.height <= 2 * count + 2  # hardly anything is empty


@pytest.mark.parametrize(
    ("count", "classes", "width", "height"),
    [
        (100, 10, 10, 10),  # a column per class
        (64, 10, 10, 7),
        (6, 3, 3, 2),
        (100, 0, 10, 10),
        (10, 0, 4, 3),
        (2, 0, 2, 1),
        (100, 2, 10, 10),  # five rows per class
        (100, 1000, 10, 10),  # an image of each of the first classes
        (100, 37, 12, 10),  # three of a class beside each other, four classes in a line
        (20, 10, 5, 4),
    ],
)
def test_shapes(count, classes, width, height):
    layout = grid_layout(count, classes)
    assert (layout.width, layout.height) == (width, height)


def test_a_class_is_a_column_rows_or_a_column_among_others():
    def cells(count: int, classes: int, which: int) -> list[tuple[int, int]]:
        layout = grid_layout(count, classes)
        return [layout.position(i) for i in range(which, count, classes)]

    assert cells(100, 10, 3) == [(row, 3) for row in range(10)]
    assert cells(100, 2, 1) == [(row, column) for row in range(5, 10) for column in range(10)]
    assert cells(111, 37, 13) == [(3, 3), (3, 4), (3, 5)]
    assert cells(20, 10, 7) == [(2, 2), (3, 2)]


def test_the_digits_look_as_they_did():
    """A column per class with small images enlarged without smoothing, as torchvision lays them out."""
    images = torch.randint(0, 256, (100, 1, 8, 8), dtype=torch.uint8)
    enlarged = images.float().div(255).repeat_interleave(8, 2).repeat_interleave(8, 3)
    expected = make_grid(enlarged, nrow=10, padding=2, pad_value=1.0)
    torch.testing.assert_close(grid_of(images, 10), expected, rtol=0, atol=0)


def test_large_and_coloured_images_are_shown_as_they_are():
    images = torch.randint(0, 256, (3, 3, 70, 70), dtype=torch.uint8)
    grid = grid_of(images, 0)
    assert grid.shape == (3, 146, 146)
    torch.testing.assert_close(grid[:, 2:72, 2:72], images[0].float() / 255)
    torch.testing.assert_close(grid[:, 74:144, 2:72], images[2].float() / 255)


def test_a_gap_parts_the_rows_of_two_classes():
    grid = grid_of(torch.zeros(16, 1, 64, 64, dtype=torch.uint8), 2)
    assert grid.shape[1:] == (4 * 66 + 2 + 6, 4 * 66 + 2)
    assert grid[:, 2 + 2 * 66 - 2 : 2 + 2 * 66 + 6].eq(1).all()
