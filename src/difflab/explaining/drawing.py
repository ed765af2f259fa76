"""How a look's pictures are made: images in rows with words above and beside, and curves."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL = 76
"""Pixels of an image, about: smaller ones are magnified by a whole factor without smoothing."""

GAP, LEFT, TOP, FONT = 4, 96, 28, 19
INK = (40, 40, 40)

Cell = Tensor | Image.Image | None
"""uint8 [C, H, W], a picture, or nothing."""


def pillow(image: Tensor) -> Image.Image:
    """An image [C, H, W] uint8, magnified."""
    pixels = image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    factor = CELL / max(picture.size)
    if factor >= 1:
        return picture.resize((picture.width * int(factor), picture.height * int(factor)), Image.Resampling.NEAREST)
    return picture.resize((max(1, int(picture.width * factor)), max(1, int(picture.height * factor))))


def rows_of_images(rows: Sequence[Sequence[Cell]], above: Sequence[str], beside: Sequence[str]) -> bytes:
    """A PNG of rows of images.

    Args:
        rows: All of one length.
        above: A word for each column; "" for none.
        beside: One for each row.
    """
    cells = [[pillow(cell) if isinstance(cell, Tensor) else cell for cell in row] for row in rows]
    width, height = (
        max(side for row in cells for cell in row if cell is not None for side in [cell.size[axis]]) for axis in (0, 1)
    )
    left, top = LEFT * any(beside), TOP * any(above)
    height = max(height, TOP) if left else height  # a row has room for its word, however low its images are
    size = (left + (width + GAP) * len(rows[0]) + GAP, top + (height + GAP) * len(rows) + GAP)
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT)
    for j, word in enumerate(above):
        draw.text((left + GAP + j * (width + GAP) + width / 2, top / 2), word, fill=INK, font=font, anchor="mm")
    for i, word in enumerate(beside):
        draw.text((8, top + GAP + i * (height + GAP) + height / 2), word, fill=INK, font=font, anchor="lm")
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if cell is not None:
                middle = (height - cell.height) // 2
                picture.paste(cell, (left + GAP + j * (width + GAP), top + GAP + i * (height + GAP) + middle))
    return png_of_image(picture)


def png_of_image(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, format="png")
    return written.getvalue()


def axes_for(width: float = 7.2, height: float = 3.8) -> tuple[Any, Any]:
    """Figure and axes of matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def draw_arrows(axes: Any, places: Tensor, arrows: Tensor, longest: float, colour: str) -> None:
    """A field of arrows at the places of a square grid.

    Args:
        axes: Matplotlib's.
        places: [N, 2], of a square around 0.
        arrows: [N, 2].
        longest: Length of an arrow that is drawn a little longer than the grid is wide.
        colour: Of all of them.
    """
    spacing = 2.2 * float(places.max()) / math.isqrt(len(places))
    at, to = places.cpu().T.tolist(), arrows.cpu().T.tolist()
    axes.quiver(*at, *to, angles="xy", scale_units="xy", scale=longest / spacing, color=colour, width=0.006)


def bare(axes: Any) -> None:
    """Leaves the ticks out of planes, an array of axes, whose two directions are of one scale."""
    for here in axes.flat:
        here.set_xticks([])
        here.set_yticks([])
        here.set_aspect("equal")


def png_of(figure: Any) -> bytes:
    """A figure of matplotlib as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    return png_of_image(
        drawn.quantize(128, dither=Image.Dither.NONE)
    )  # a third of the bytes, and nothing to be seen of it


def heat(image: Tensor, weights: Tensor, query: tuple[int, int]) -> Image.Image:
    """Weights as colours over a grey picture of the image, and a frame around the place that asks.

    Args:
        image: uint8 [C, H, W].
        weights: [h, w], not negative; the largest has the brightest colour.
        query: Row and column among them.
    """
    from matplotlib import colormaps

    grey = pillow(image.float().mean(0, keepdim=True).round().to(torch.uint8))
    scale = weights.double().cpu().numpy() / max(float(weights.max()), 1e-12)
    colours = Image.fromarray((255 * colormaps["viridis"](scale)[..., :3]).astype(np.uint8))
    mixed = Image.blend(grey, colours.resize(grey.size, Image.Resampling.NEAREST), 0.7)
    high, wide = (grey.size[1 - axis] / weights.shape[axis] for axis in (0, 1))
    box = (query[1] * wide, query[0] * high, (query[1] + 1) * wide - 1, (query[0] + 1) * high - 1)
    draw = ImageDraw.Draw(mixed)
    draw.rectangle(box, outline=(255, 255, 255), width=3)
    draw.rectangle(box, outline=(213, 94, 0), width=2)
    return mixed
