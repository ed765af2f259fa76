"""One encoded image file: which names are images, what a broken one raises, its pixels as they are."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from difflab.data.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
CORRUPT = (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
"""What Pillow may raise for a broken file."""

_AS_THEY_ARE = {"L": "L", "1": "L", "RGB": "RGB", "P": "RGB"}
"""Mode of a file -> mode in which its pixels are the same."""


def unreadable(where: str, error: Exception) -> DataError:
    return DataError(f"{where} cannot be read as an image ({error}). Replace it, or remove it and its label.")


def format_of(content: bytes, where: str) -> str:
    """PNG, JPEG, ...: after a look at the header, and at the checksums where the format has some."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
            return str(image.format)
    except CORRUPT as error:
        raise unreadable(where, error) from error


def pixels_of(content: bytes, where: str) -> NDArray[np.uint8]:
    """[H, W, C], grey or colour as in the file. Every pixel is decoded, so that a truncated file is noticed."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            if mode in _AS_THEY_ARE and not (mode == "P" and "transparency" in image.info):
                pixels = np.array(image.convert(_AS_THEY_ARE[mode]))
                return pixels.reshape(*pixels.shape[:2], -1)
    except CORRUPT as error:
        raise unreadable(where, error) from error
    raise DataError(
        f"{where} is of the mode {mode}; expected 8-bit grey (L) or colour (RGB). Convert all images to one."
    )
