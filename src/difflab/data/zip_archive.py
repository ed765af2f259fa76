"""A zip of image files, in the layout of EDM's and StyleGAN's dataset_tool."""

from __future__ import annotations

from pathlib import Path

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.zip_files import ZipFiles


class ImageZip(EncodedImages):
    """Image files in a zip; classes from its dataset.json, {"labels": [["00000/img00000000.png", 6], ...]} or null
    (Karras et al. 2022), and without that file from the first sub-folders.

    path        the archive
    image_size  side to which every image is resized and centre-cropped
    channels    3 colour, 1 grey
    """

    def __init__(self, path: str | Path, image_size: int, channels: int = 3):
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path.absolute()} is no file. Set data.dataset.path to the zip of your images.")
        files = ZipFiles(self.path)
        listing = files.listing()
        super().__init__(files, listing.images, listing.labels, listing.class_names, image_size, channels)
