"""A zip of image files, in the layout of EDM's and StyleGAN's dataset_tool."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.labels import INDEX, list_images


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
        self._open()
        files = [entry.filename for entry in self._archive.infolist() if not entry.is_dir()]
        listing = list_images(files, self._archive.read(INDEX) if INDEX in files else None, str(self.path))
        super().__init__(listing.images, listing.labels, listing.class_names, image_size, channels)

    def read(self, name: str) -> bytes:
        if self._process != os.getpid():  # a forked worker must not share the file's position with its parent
            self._open()
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise self._unreadable(name, error) from error

    def where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def stamp(self) -> str:
        return repr([self._archive.getinfo(name).CRC for name in self._names])

    def _open(self) -> None:
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be read as a zip ({error}). Make it again.") from error
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None, "_process": None}  # a spawned worker opens its own
