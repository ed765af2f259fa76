"""One image file: decoded, scaled, cropped, or refused.

Resize and centre-crop as "Diffusion Models Beat GANs" (ADM) prepares its training images.

Dhariwal and Nichol 2021; `center_crop_arr` in guided-diffusion's image_datasets.py, reference statistics included, does:
    1. while the short side is at least 2 size: halve both sides (rounded down) with a box filter
    2. scale so that the short side is `size`, sides rounded to the nearest integer (half to even), bicubic
    3. take the centre square, its offset rounded down
The box filter comes first since Pillow once did not antialias well over large factors; it changes pixels, hence FID.

One encoded image file: which names are images, its pixels in 8 bits, and what of the file these do not show.

Every image that a user brings is decoded here, for training, packing and evaluation alike.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from difflab.data.errors import DataError
from difflab.types import ImageSize, sides

LARGEST = 2**28
"""Pixels of an image between scaling and cropping, at most: a strip of a pixel's width and a million's length is no picture."""


def adm_crop(image: Image.Image, size: ImageSize) -> Image.Image:
    """The centre of `image`, a square of this side or [H, W]; `image` itself where nothing is to be done."""
    high, wide = sides(size)
    while image.width >= 2 * wide and image.height >= 2 * high:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(wide / image.width, high / image.height)
    width, height = round(image.width * scale), round(image.height * scale)
    if width * height > LARGEST:
        raise ValueError(
            f"{image.width}x{image.height} pixels become {width}x{height} at image_size={size}, of which the centre is taken: crop it first"
        )
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - wide) // 2, (height - high) // 2
    return image if (width, height) == (wide, high) else image.crop((left, top, left + wide, top + high))


EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
_CORRUPT = (
    OSError, EOFError, SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, MemoryError,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow may raise for a broken file."""

_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})
"""Modes without colours, besides those of 16 bits, I;16...; all others have some."""

_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa", "1", "L", "P", "RGB"})
"""Modes that hold transparency: a channel, or one colour that stands for it."""

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "PPM", "TIFF", "GIF", "JPEG2000")
"""Pillow's names of what is decoded. For others it starts a program (EPS: Ghostscript), or reads what nobody keeps images in."""

# Pillow's warnings name no file, and each worker would give them; what matters of them is a `Trait`, said once for the whole set
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


REPLACE = "Replace it, or remove it and its label."


class ImageFileError(DataError):
    """An image cannot be used.

    Args:
        problem: Names the file and says what is wrong.
        remedy: What to do about it.
    """

    def __init__(self, problem: str, remedy: str = REPLACE):
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}"


class Trait(Enum):
    """What the pixels do not show of an image, or show otherwise; the value is a sentence whose subject is the images."""

    SIXTEEN_BITS = "hold 16 bits a value, which are divided by 257 and rounded"
    FLOATS = "hold floats in [0, 1], which are multiplied by 255 and rounded"
    ALPHA = (
        "are transparent in places: the colours that lie there unseen are taken, as ADM's loader does. To have them on a ground, "
        "lay them over it first (PIL.Image.alpha_composite)"
    )
    ORIENTATION = (
        "are to be turned by their EXIF orientation, which is ignored, as ADM's loader does. To have them upright, turn them first "
        "(PIL.ImageOps.exif_transpose)"
    )
    FRAMES = "have several frames or pages, of which the first is taken"
    CMYK = "are CMYK, which becomes RGB without their colour profile"
    LARGE = f"have more than {Image.MAX_IMAGE_PIXELS:,} pixels, all of which each worker holds in memory at once"


SCALED = (Trait.SIXTEEN_BITS, Trait.FLOATS)
"""Traits of files whose pixels depend on how they are brought to 8 bits."""


class Picture(NamedTuple):
    """An image file that was looked at.

    Attributes:
        image: Its pixels, grey (L) or colour (RGB) as in the file; None if it was not decoded.
        kind: Its size, mode and format, as (64, 48, "RGB", "PNG").
        traits: What its pixels do not show.
    """

    image: Image.Image | None
    kind: tuple[int, int, str, str]
    traits: frozenset[Trait]


def decoded(content: bytes, where: Callable[[], str], mode: str | None = None) -> Image.Image:
    """Decodes an image file to the last pixel.

    Grey of 16 bits becomes round(v / 257) and floats in [0, 1] round(255 v). Alpha, EXIF orientation and further frames are
    left out, as `Image.convert` does.

    Args:
        content: The file.
        where: What an error calls it.
        mode: L or RGB; None for grey where the file is grey, else colour.

    Raises:
        ImageFileError: The file is broken, or nothing says which of its values is white.
    """
    try:
        return _in_eight_bits(_opened(content), mode)
    except _CORRUPT as error:
        raise unreadable(where(), error, content) from error


def examined(content: bytes, where: Callable[[], str], decode: bool = True) -> Picture:
    """Decodes an image file, and says what its pixels do not show.

    Args:
        content: The file.
        where: What an error calls it.
        decode: Whether it is decoded. If not, its header is looked at, and its checksums where the format has some; alpha and, in a
            PNG, the orientation are then not known.

    Raises:
        ImageFileError: As `decoded`.
    """
    try:
        image = _opened(content)
        kind = (image.width, image.height, image.mode, str(image.format))
        traits = _traits_of_header(image)
        _opened(content).verify()  # a PNG's checksums; decoding does not compare them
        if not decode:
            if image.format not in ("PNG", "TIFF") and _is_to_be_turned(image):
                traits.add(Trait.ORIENTATION)
            return Picture(None, kind, frozenset(traits))
        pixels = _in_eight_bits(image, None)
        if _is_transparent(image):
            traits.add(Trait.ALPHA)
        if image.format != "TIFF" and _is_to_be_turned(image):  # Pillow turns those itself
            traits.add(Trait.ORIENTATION)
        return Picture(pixels, kind, frozenset(traits))
    except _CORRUPT as error:
        raise unreadable(where(), error, content) from error


def unreadable(where: str, error: BaseException, content: bytes | None = None) -> ImageFileError:
    """The error that names a file; `content` is what was read of it."""
    reason = str(error) or type(error).__name__
    if content is not None and isinstance(error, UnidentifiedImageError):
        reason = f"it is none, or damaged: it begins with {content[:12]!r}" if content else "it is empty"
    return ImageFileError(f"{where} cannot be read as an image ({reason})")


def _opened(content: bytes) -> Image.Image:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # some libraries set it, and half of an image would be grey
    return Image.open(io.BytesIO(content), formats=_readable())


@cache
def _readable() -> tuple[str, ...]:
    Image.init()  # a build of Pillow may lack some
    return tuple(form for form in _FORMATS if form in Image.OPEN)


def _in_eight_bits(image: Image.Image, mode: str | None) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _scaled(image)
    if mode is None:
        mode = "L" if image.mode in _GREY else "RGB"
    if image.mode == mode:
        image.load()
        return image
    return image.convert(mode)


def _scaled(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits in 8."""
    values = np.asarray(image)
    if _has_sixteen_bits(image):
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # the nearest: 257 is odd
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 1:  # so NaN is not
            return Image.fromarray(np.rint(values * np.float32(255)).astype(np.uint8))
        raise ValueError(f"mode F, floats from {low:.6g} to {high:.6g}: only in [0, 1] are black and white known")
    raise ValueError(f"mode {image.mode}, integers of which nothing says which one is white: save 8 or 16 bits")


def _has_sixteen_bits(image: Image.Image) -> bool:
    if image.mode == "I":  # as Pillow gives a PGM of more than 8 bits, scaled to 16; earlier ones a PNG, too
        return image.format in ("PNG", "PPM")
    bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))
    return image.mode.startswith("I;16") and tuple(bits) == (16,)  # a TIFF may have 12


def _traits_of_header(image: Image.Image) -> set[Trait]:
    traits = set()
    if _has_sixteen_bits(image):
        traits.add(Trait.SIXTEEN_BITS)
    if image.mode == "F":
        traits.add(Trait.FLOATS)
    if image.mode == "CMYK":
        traits.add(Trait.CMYK)
    if image.format != "MPO" and getattr(image, "is_animated", False):  # a camera's MPO is a JPEG with previews
        traits.add(Trait.FRAMES)
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        traits.add(Trait.LARGE)
    return traits


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of a decoded image is not opaque."""
    if image.mode not in _WITH_ALPHA or not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] < 255  # pyright: ignore[reportOperatorIssue]


def _is_to_be_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except _CORRUPT:  # the image is whole, what is said of it is not
        return False
