"""Many images as one picture, near a square whatever the number of images and classes.

Where a column for each class makes such a picture, it has one: the digits' 100 images are ten columns of ten. Otherwise each class has a
block: rows of its own (of 2 classes five rows of ten), or a few images beside or above each other, as many classes in a line as the
picture is wide and the next ones below (of 37 classes four in a line). Classes are in order from left to right and from top to bottom,
and a gap parts the blocks. With fewer images than classes each image is of another class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

SHOWN = 64
"""Pixels: smaller images are magnified by a whole factor, without smoothing, up to about this height."""

LONG = 2.5
"""How much longer than high, or higher than long, a picture may be in which each class has a column."""

PADDING, GAP = 2, 6
"""Pixels around each image, and those more between two blocks."""


@dataclass(frozen=True)
class GridLayout:
    """Where each image is. Image i is of class i mod `classes`.

    Attributes:
        classes: Blocks; 1 where nothing is known of classes.
        across: Blocks beside each other.
        rows: Of a block.
        columns: Of a block.
    """

    classes: int
    across: int
    rows: int
    columns: int

    @property
    def width(self) -> int:
        """Images beside each other."""
        return self.across * self.columns

    @property
    def height(self) -> int:
        """Images above each other."""
        return -(-self.classes // self.across) * self.rows

    def position(self, i: int) -> tuple[int, int]:
        """Row and column of image i."""
        place, block = divmod(i, self.classes)
        below, beside = divmod(block, self.across)
        row, column = divmod(place, self.columns)
        return below * self.rows + row, beside * self.columns + column


def grid_layout(count: int, classes: int, aspect: float = 1.0) -> GridLayout:
    """The layout of a picture.

    Args:
        count: Images, of the classes 0, 1, ... in turn.
        classes: How many; 0 for none, or where they have no such order.
        aspect: Width of an image by its height.
    """
    classes = min(max(classes, 1), count)
    each = -(-count // classes)
    if classes > 1 and max(classes * aspect / each, each / (classes * aspect)) <= LONG:
        return GridLayout(classes, classes, each, 1)
    found = [
        GridLayout(classes, across, -(-each // columns), columns)
        for columns in range(1, each + 1)
        for across in range(1, classes + 1)
    ]

    def badness(layout: GridLayout) -> tuple[float, int, int]:
        """How far from a square, and from full; then the wider one, and that with fewer blocks beside each other."""
        ratio = layout.width * aspect / layout.height
        return max(ratio, 1 / ratio) * layout.width * layout.height, -layout.width, layout.across

    return min(found, key=badness)


def grid_of(images: UInt8[Tensor, "n c h w"], classes: int) -> Float[Tensor, "3 height width"]:
    """The picture, in [0, 1]; `classes` as `grid_layout` has it."""
    scale = max(1, SHOWN // images.shape[-2])
    shown = images.float().div(255).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    high, wide = shown.shape[-2:]
    layout = grid_layout(len(images), classes, wide / high)
    apart_below = GAP * (layout.rows * layout.columns > 1)
    apart_beside = GAP * (layout.columns > 1)

    def corner(row: int, column: int) -> tuple[int, int]:
        top = PADDING + row * (high + PADDING) + row // layout.rows * apart_below
        return top, PADDING + column * (wide + PADDING) + column // layout.columns * apart_beside

    bottom, right = corner(layout.height - 1, layout.width - 1)
    picture = torch.ones(3, bottom + high + PADDING, right + wide + PADDING)
    for i, image in enumerate(shown):
        top, left = corner(*layout.position(i))
        picture[:, top : top + high, left : left + wide] = image
    return picture
