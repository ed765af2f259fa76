"""One picture of several images in rows, of frames, or of a cloud of points.

A picture is near a square, whatever the number of images and classes. Where a column for each class makes such a picture, it has one: the
digits' 100 images are ten columns of ten. Otherwise each class has a block: rows of its own (of 2 classes five rows of ten), or a few
images beside or above each other, as many classes in a line as the picture is wide and the next ones below (of 37 classes four in a line).
Classes are in order from left to right and from top to bottom, and a gap parts the blocks. With fewer images than classes each image is of
another class.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
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


PANEL = 360
"""Pixels of each side of a plane; it is drawn at twice the size and made smaller, which smooths it."""

_DOT, _LINE = (31, 119, 180), (40, 40, 40)

COLOUR_BLIND_SAFE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Of curves that lie over each other: Okabe and Ito's (2008), less the yellow, which is too bright for a line on white."""


def cloud(points: Float[Tensor, "n c"]) -> Float[Tensor, "3 height width"]:
    """Points of a plane as dots, in [0, 1]; the axes are as long as 99 % of the points reach, which is written into the corner."""
    return as_tensor(plane(points, reach_of(points)))


def plane(
    points: Float[Tensor, "n c"],
    reach: float,
    arrows: Float[Tensor, "m 4"] | None = None,
    dot: float = 1.5,
    side: int = PANEL,
) -> Image.Image:
    """A square from -reach to reach along both axes.

    Args:
        points: Drawn as dots; of one coordinate, over nothing.
        reach: Half the length of the axes.
        arrows: Where they begin, and the vectors, which are drawn relative to the longest and end in a dot.
        dot: Radius of a point, in half pixels.
        side: Pixels of each side.
    """
    size = 2 * side
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)

    def pixels(places: Tensor) -> list[tuple[float, float]]:
        flat = torch.nn.functional.pad(places.detach().cpu().float(), (0, 2 - places.shape[1]))
        flat = flat[flat.isfinite().all(dim=1)]
        return [(size * (0.5 + x / reach / 2), size * (0.5 - y / reach / 2)) for x, y in flat.tolist()]

    for x, y in pixels(points):
        draw.ellipse((x - dot, y - dot, x + dot, y + dot), fill=_DOT)
    if arrows is not None and len(arrows):
        vectors = arrows[:, 2:].nan_to_num(0.0, 0.0, 0.0)
        step = 2 * reach / math.isqrt(len(arrows)) / max(vectors.norm(dim=1).max().item(), 1e-12)
        for tail, head in zip(pixels(arrows[:, :2]), pixels(arrows[:, :2] + step * vectors), strict=True):
            draw.line((*tail, *head), fill=_LINE, width=2)
            draw.ellipse((head[0] - 3, head[1] - 3, head[0] + 3, head[1] + 3), fill=_LINE)
    draw.rectangle((0, 0, size - 1, size - 1), outline=_LINE, width=2)
    image = image.resize((side, side), Image.Resampling.LANCZOS)
    ImageDraw.Draw(image).text((6, side - 16), f"+-{reach:.3g}", fill=_LINE)
    return image


def panels(rows: Sequence[Sequence[Image.Image]], above: Sequence[str], beside: Sequence[str]) -> Image.Image:
    """Squares in rows, with a line of text above each column and beside each row."""
    left, top = 130, 22
    picture = Image.new("RGB", (left + PANEL * len(above), top + PANEL * len(rows)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    for j, name in enumerate(above):
        draw.text((left + PANEL * j + PANEL // 2 - 24, 3), name, fill=_LINE, font=font)
    for i, (row, name) in enumerate(zip(rows, beside, strict=True)):
        draw.text((8, top + PANEL * i + PANEL // 2), name, fill=_LINE, font=font)
        for j, image in enumerate(row):
            picture.paste(image, (left + PANEL * j, top + PANEL * i))
    return picture


COLOURS = 64
"""Of a film: noise is what makes its file large."""

SECONDS, HELD = 4.0, 2.0
"""What a film takes about, and how long its last frame stays where it does not begin again from there."""


def gif(frames: Sequence[Image.Image], closed: bool = False) -> bytes:
    """A film that is played for ever, as the bytes of a GIF. All frames have the same few colours, so that nothing flickers.

    Args:
        frames: Of the same size.
        closed: Whether the first frame follows upon the last one; else the last one is held.
    """
    few = [frames[round(i * (len(frames) - 1) / 7)] for i in range(8)]
    width, height = frames[0].size
    together = Image.new("RGB", (width, 8 * height))
    for i, frame in enumerate(few):
        together.paste(frame, (0, i * height))
    palette = together.quantize(COLOURS, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    each = round(1000 * min(max(SECONDS / len(frames), 0.05), 0.25))
    times = [each] * len(frames) if closed else [*[each] * (len(frames) - 1), round(1000 * HELD)]
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=times, loop=0)
    return file.getvalue()


def as_image(picture: Float[Tensor, "3 height width"]) -> Image.Image:
    """A picture in [0, 1] as one of Pillow's."""
    return Image.fromarray(picture.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy())


def as_tensor(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """A picture in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def reach_of(points: Float[Tensor, "n c"]) -> float:
    """How far 99 % of points reach from 0 along an axis, and a tenth more; 1 for points that are not finite."""
    reach = points.detach().abs().flatten().float().quantile(0.99).item() * 1.1 if len(points) else 1.0
    return reach if math.isfinite(reach) and reach > 0 else 1.0
