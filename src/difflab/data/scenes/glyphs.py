"""Six shapes drawn by code, as large as a digit: what a base model has never seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_SCALE = 16

_STROKES = {
    "letter A": [[(1.2, 7), (4, 1), (6.8, 7)], [(2.3, 4.9), (5.7, 4.9)]],
    "letter B": [
        [(1.8, 1), (1.8, 7), (4.6, 7), (6.0, 6.2), (6.0, 4.9), (4.8, 4), (1.8, 4)],
        [(4.8, 4), (5.7, 3.2), (5.7, 1.9), (4.5, 1), (1.8, 1)],
    ],
    "letter C": [[(6.4, 2.1), (5.2, 1.1), (3.4, 1.1), (1.8, 2.6), (1.8, 5.4), (3.4, 6.9), (5.2, 6.9), (6.4, 5.9)]],
}
_AREAS = {
    "triangle": [(4, 0.6), (7.4, 7.2), (0.6, 7.2)],
    "square": [(1.2, 1.2), (6.8, 1.2), (6.8, 6.8), (1.2, 6.8)],
    "star": [
        (4 + radius * np.sin(np.pi * k / 5), 4.3 - radius * np.cos(np.pi * k / 5))
        for k in range(10)
        for radius in [4.0 if k % 2 == 0 else 1.6]
    ],
}


def glyph(name: str, turn: float = 0.0, stretch: float = 1.0) -> NDArray[np.float32]:
    """Its ink, [8, 8] in [0, 1].

    Args:
        name: Of `difflab.data.scenes.words.GLYPHS`.
        turn: In degrees, counterclockwise.
        stretch: Width to height.
    """
    image = Image.new("L", (8 * _SCALE, 8 * _SCALE))
    pen = ImageDraw.Draw(image)
    for stroke in _STROKES.get(name, []):
        pen.line([_place(point, stretch) for point in stroke], fill=255, width=int(1.2 * _SCALE), joint="curve")
    if name in _AREAS:
        pen.polygon([_place(point, stretch) for point in _AREAS[name]], fill=255)
    image = image.rotate(turn, Image.Resampling.BILINEAR).resize((8, 8), Image.Resampling.BOX)
    return (np.asarray(image, np.float32) / 255).astype(np.float32)


def _place(point: tuple[float, float], stretch: float) -> tuple[float, float]:
    return (4 + (point[0] - 4) * stretch) * _SCALE, point[1] * _SCALE
