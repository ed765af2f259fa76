"""One picture of several images in rows, of frames, or of a cloud of points.

A picture is near a square, whatever the number of images and classes. Where a column for each class makes such a picture, it has one: the
digits' 100 images are ten columns of ten. Otherwise each class has a block: rows of its own (of 2 classes five rows of ten), or a few
images beside or above each other, as many classes in a line as the picture is wide and the next ones below (of 37 classes four in a line).
Classes are in order from left to right and from top to bottom, and a gap parts the blocks. With fewer images than classes each image is of
another class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
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


def cloud(points: Float[Tensor, "n 2"]) -> Float[Tensor, "3 height width"]:
    """Points of a plane as dots, in [0, 1]; the axes are as long as 99 % of the points reach."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0.08, 0.06, 0.9, 0.92))
    dots(axes, points)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return pixels.permute(2, 0, 1).float() / 255


def dots(axes: Any, points: Float[Tensor, "n 2"], reach: float | None = None) -> None:
    """Draws points into axes of matplotlib.

    Args:
        axes: To draw into.
        points: Of the plane; of one coordinate it is drawn over nothing.
        reach: Half the length of both axes; None for as far as 99 % of the points reach.
    """
    plane = torch.nn.functional.pad(points.detach().cpu().float(), (0, 2 - points.shape[1]))
    reach = reach or reach_of(plane)
    axes.scatter(plane[:, 0], plane[:, 1], s=max(0.4, min(12, 2000 / len(plane))), linewidths=0, alpha=0.6)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.tick_params(labelsize=7)


def reach_of(points: Float[Tensor, "n 2"]) -> float:
    """How far 99 % of points reach from 0 along an axis, and a tenth more; 1 for points that are not finite."""
    reach = points.abs().flatten().quantile(0.99).item() * 1.1 if len(points) else 1.0
    return reach if math.isfinite(reach) and reach > 0 else 1.0
