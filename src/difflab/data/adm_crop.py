"""Resize and centre-crop as "Diffusion Models Beat GANs" (ADM) prepares its training images.

Dhariwal and Nichol 2021; `center_crop_arr` in guided-diffusion's image_datasets.py, reference statistics included, does:
    1. while the short side is at least 2 size: halve both sides (rounded down) with a box filter
    2. scale so that the short side is `size`, sides rounded to the nearest integer (half to even), bicubic
    3. take the centre square, its offset rounded down
The box filter comes first since Pillow once did not antialias well over large factors; it changes pixels, hence FID.
"""

from PIL import Image

LARGEST = 2**28
"""Pixels of an image between scaling and cropping, at most: a strip of a pixel's width and a million's length is no picture."""


def adm_crop(image: Image.Image, size: int) -> Image.Image:
    """The centre square of `image`, size x size; `image` itself where nothing is to be done."""
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    if width * height > LARGEST:
        raise ValueError(
            f"{image.width}x{image.height} pixels become {width}x{height} at image_size={size}, of which the centre is taken: crop it first"
        )
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image if width == height else image.crop((left, top, left + size, top + size))
