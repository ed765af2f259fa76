"""Images in a zip archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError, some, warn
from difflab.data.file_store import FileStore
from difflab.data.image_file import unreadable
from difflab.data.labels import INDEX, LARGEST_INDEX, Listing, list_images
from difflab.reading import FileError
from difflab.reading.archives import open_zip, read_member

LARGEST = 2**28
"""Bytes of an image file at most: 256 MiB."""

_UTF8 = 0x800
"""The flag of an entry that says how its name is written."""


class ZipFiles(FileStore):
    """path   the archive"""

    def __init__(self, path: Path):
        self.path, self.name = path, str(path)
        self._open()

    def listing(self) -> Listing:
        """The images and their classes: by dataset.json if there is one, else by the first sub-folders."""
        entries = self._archive.infolist()
        unmarked = [e.filename for e in entries if not e.filename.isascii() and not e.flag_bits & _UTF8]
        if unmarked:
            warn(
                f"{self.path}: {len(unmarked):,} names are not marked as UTF-8 and are read in code page 437, as DOS wrote them: "
                f"{some(unmarked[:3], len(unmarked))}. If that is not what they are called, make the archive again"
            )
        files = [entry.filename for entry in entries if not entry.is_dir()]
        folders = {entry.filename.split("/")[0] for entry in entries if "/" in entry.filename}
        index = read_member(self._archive, INDEX, LARGEST_INDEX) if INDEX in files else None
        return list_images(files, index, str(self.path), folders=sorted(folders))

    def read(self, name: str) -> bytes:
        if self._process != os.getpid():  # a forked worker must not share the file's position with its parent
            self._open()
        try:
            return read_member(self._archive, name, LARGEST)
        except FileError as error:
            raise unreadable(self.where(name), error.__cause__ or error) from error

    def where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def stamp(self, names: Sequence[str]) -> str:
        return repr([self._archive.getinfo(name).CRC for name in names])

    def _open(self) -> None:
        self._archive = open_zip(self.path)
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None, "_process": None}  # a spawned worker opens its own


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
