"""A walk from noise to an image as a picture: x_t from left to right, and below each x_t the x_0 that the denoiser saw in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from difflab.features import to_uint8
from difflab.pictures import as_image, plane, reach_of
from difflab.samplers import Moments
from difflab.schedules import NoiseSchedule
from difflab.spaces import Space

TILE = 128
"""Pixels of a side at most; larger images are made smaller, which also takes from the noise."""

LEFT, LINE, GAP = 76, 24, 6
"""Pixels of the margin on the left, of a line of text, and between the images."""

LABELS = 42
"""Pixels of a row that has an image's name and what is in it below each other."""

_INK, _SOFT = (20, 20, 20), (90, 90, 90)


@dataclass(frozen=True)
class Tiles:
    """Small pictures of a walk.

    Attributes:
        times: Of the moments, as they are written.
        noise: How much of x_t is noise then, sigma / sqrt(alpha^2 + sigma^2), likewise.
        names: Of the images.
        x_t: Image -> moment -> picture.
        x0: Likewise.
    """

    times: Sequence[str]
    noise: Sequence[str]
    names: Sequence[str]
    x_t: Sequence[Sequence[Image.Image]]
    x0: Sequence[Sequence[Image.Image]]

    @property
    def size(self) -> tuple[int, int]:
        """Width of a picture, and height of a row: at least that of its labels, whatever the picture is."""
        wide, high = self.x_t[0][0].size
        return wide, max(high, LABELS)


def tiles(moments: Moments, schedule: NoiseSchedule, space: Space, names: Sequence[str]) -> Tiles:
    """What is laid out; a process that does not keep the variance is shown at unit scale.

    Args:
        moments: Of the walk.
        schedule: The model's.
        space: In which the model lives; it decodes both rows.
        names: Of the images; what is a cloud has one for all.
    """
    alpha, sigma = moments.level(schedule)
    above = small_pictures(space, torch.cat([moments.at_unit_scale(schedule), moments.x0]))
    return Tiles(
        [f"{t:.2f}" for t in moments.t.tolist()],
        [f"{100 * share:.0f} %" for share in (sigma / torch.hypot(alpha, sigma)).tolist()],
        names if space.crowd == 1 else [f"{moments.x_t.shape[1]} points"],
        [row[: len(moments)] for row in above],
        [row[len(moments) :] for row in above],
    )


def small_pictures(space: Space, images: Float[Tensor, "k n c *size"]) -> list[list[Image.Image]]:
    """Image -> moment -> picture of at most `TILE` pixels; of clouds one row.

    Args:
        space: In which the images are; it decodes them.
        images: At K moments, in the model's units.
    """
    seen = decoded(space, images)
    if space.crowd > 1:
        return [planes(seen, TILE)]
    return [[_small(as_image(space.picture(one[i : i + 1], 0))) for one in seen] for i in range(images.shape[1])]


def decoded(space: Space, images: Float[Tensor, "k n c *size"]) -> Tensor:
    """Images as a picture takes them, [K, N, *seen]. What is not a number, as x_0 from noise may be, is shown as a number.

    Args:
        space: In which they are.
        images: At K moments, in the model's units.
    """
    device = next((weight.device for model in space.models.values() for weight in model.parameters()), images.device)
    found = torch.stack([space.decode(torch.nan_to_num(one).to(device)).cpu() for one in images])
    return torch.stack([to_uint8(one) for one in found]) if space.holds_pixels else found.float()


def planes(points: Float[Tensor, "k n *seen"], side: int) -> list[Image.Image]:
    """K clouds with the same axes, of points by their first two coordinates."""
    flat = points.flatten(2)[:, :, :2]
    reach = reach_of(flat.flatten(0, 1))
    return [plane(one, reach, side=side) for one in flat]


def _small(picture: Image.Image) -> Image.Image:
    picture.thumbnail((2 * TILE, TILE), Image.Resampling.LANCZOS)
    return picture


def strip(shown: Tiles) -> Image.Image:
    """The whole walk beside each other: a pair of rows for each image, the time and the share of noise above the columns."""
    wide, high = shown.size
    top, pair = 2 * LINE + 4, 2 * high + GAP
    image = Image.new("RGB", (LEFT + wide * len(shown.times), top + pair * len(shown.names)), "white")
    draw, large, small = ImageDraw.Draw(image), ImageFont.load_default(18), ImageFont.load_default(14)
    for y, name, texts in ((0, "t", shown.times), (LINE, "noise", shown.noise)):
        draw.text((4, y + 2), name, fill=_INK, font=large)
        for k, text in enumerate(texts):
            draw.text((LEFT + wide * k + wide // 2, y + 2), text, fill=_INK, font=large, anchor="ma")
    for i, name in enumerate(shown.names):
        y = top + pair * i
        draw.text((4, y), name, fill=_SOFT, font=small)
        for row, what in enumerate(("x_t", "x_0")):
            draw.text((4, y + high * row + high // 2), what, fill=_INK, font=large, anchor="lm" if row else "lt")
        for k, (x_t, x0) in enumerate(zip(shown.x_t[i], shown.x0[i], strict=True)):
            image.paste(x_t, (LEFT + wide * k, y + (high - x_t.height) // 2))
            image.paste(x0, (LEFT + wide * k, y + high + (high - x0.height) // 2))
    return image


def film(shown: Tiles) -> list[Image.Image]:
    """The walk as frames: the images beside each other, x_t above x_0."""
    wide, high = shown.size
    font, frames = ImageFont.load_default(18), []
    for k, (time, noise) in enumerate(zip(shown.times, shown.noise, strict=True)):
        frame = Image.new("RGB", (max(LEFT - 30 + wide * len(shown.names), 260), LINE + 2 * high), "white")
        draw = ImageDraw.Draw(frame)
        draw.text((4, 2), f"t = {time},  noise {noise}", fill=_INK, font=font)
        for row, (what, rows) in enumerate((("x_t", shown.x_t), ("x_0", shown.x0))):
            y = LINE + high * row
            draw.text((4, y + high // 2), what, fill=_INK, font=font, anchor="lm")
            for i, pictures in enumerate(rows):
                frame.paste(pictures[k], (LEFT - 30 + wide * i, y + (high - pictures[k].height) // 2))
        frames.append(frame)
    return frames
