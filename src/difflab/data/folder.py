"""Images in folders and in zip archives."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError, some, warn
from difflab.data.file_store import FileStore
from difflab.data.image_file import EXTENSIONS, unreadable
from difflab.data.labels import INDEX, LARGEST_INDEX, Listing, list_images
from difflab.reading import FileError, read_bytes
from difflab.reading.archives import open_zip, read_member
from difflab.runtime.foreign_code import file_stamps
from difflab.types import ImageSize

_SHOWN = 3
"""Names in a message."""


class FolderFiles(FileStore):
    """The files of a folder and of all folders below it.

    Links to folders and files are followed; a link to a folder that it lies in is not. Names with a leading dot are left out.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path):
        self.root, self.name = root, str(root)

    def listing(self, extensions: tuple[str, ...] = EXTENSIONS) -> Listing:
        """The images (files with these extensions) and their classes: by dataset.json if there is one, else by the first sub-folders.

        Raises:
            DataError: A link leads nowhere, or a folder cannot be listed.
        """
        files, folders = [], []
        self._broken: list[str] = []
        self._circles: list[str] = []
        for name, is_folder in self._walked("", ()):
            (folders if is_folder else files).append(name)
        if self._broken:
            raise DataError(
                f"{self.root}: {len(self._broken):,} entries cannot be read: {some(self._broken[:_SHOWN], len(self._broken), '; ')}. "
                "Repair or remove them."
            )
        if self._circles:
            warn(
                f"{self.root}: {len(self._circles):,} links lead to a folder that they lie in and are not followed: "
                f"{some(self._circles[:_SHOWN], len(self._circles))}"
            )
        index = self.root / INDEX
        content = read_bytes(index, LARGEST_INDEX) if index.is_file() else None
        top = [folder for folder in folders if "/" not in folder]
        return list_images(files, content, str(self.root), extensions, top)

    def read(self, name: str) -> bytes:
        try:
            with open(f"{self.root}/{name}", "rb", buffering=0) as file:  # pathlib would take twice as long
                return file.read()
        except OSError as error:
            raise unreadable(self.where(name), error) from error

    def where(self, name: str) -> str:
        return str(self.root / name)

    def stamp(self, names: Sequence[str]) -> str:
        return repr((str(self.root.absolute()), file_stamps(self.root / name for name in names)))

    def _walked(self, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, bool]]:
        """(name, whether it is a folder) of all that lies below; `above` are the folders on the way (device, number)."""
        place = f"{self.root}/{folder}"
        try:
            status = os.stat(place)
            here = (status.st_dev, status.st_ino)
            if here in above:
                self._circles.append(_printable(folder))
                return
            with os.scandir(place) as entries:
                found = list(entries)
        except OSError as error:
            self._broken.append(f"{_printable(folder)} ({error.strerror})")
            return
        for entry in found:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield name, True
                yield from self._walked(name, (*above, here))
            elif entry.is_file():
                yield name, False
            elif not entry.name.startswith("."):
                what = "a link that leads nowhere" if entry.is_symlink() else "no regular file"
                self._broken.append(f"{_printable(name)} ({what})")


def _printable(name: str) -> str:
    """A name in which bytes that are no UTF-8 can be seen."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ImageFolder(EncodedImages):
    """Image files below a folder. Classes: dataset.json if there is one (as in `ImageZip`), else the first sub-folders.

    Args:
        root: The folder, searched recursively; names with a leading dot are ignored.
        image_size: Side to which every image is resized and centre-cropped.
        channels: 3 colour, 1 grey.
    """

    def __init__(self, root: str | Path, image_size: ImageSize, channels: int = 3):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root.absolute()} is no folder. Set data.dataset.root to the folder of your images.")
        files = FolderFiles(self.root)
        listing = files.listing()
        super().__init__(files, listing.images, listing.labels, listing.class_names, image_size, channels)


LARGEST = 2**28
"""Bytes of an image file at most: 256 MiB."""

_UTF8 = 0x800
"""The flag of an entry that says how its name is written."""


class ZipFiles(FileStore):
    """The files of a zip archive.

    Args:
        path: The archive.
    """

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
    """Image files in a zip.

    Classes are from its dataset.json, {"labels": [["00000/img00000000.png", 6], ...]} or null (Karras et al. 2022), and without that file
    from the first sub-folders.

    Args:
        path: The archive.
        image_size: Side to which every image is resized and centre-cropped.
        channels: 3 colour, 1 grey.
    """

    def __init__(self, path: str | Path, image_size: ImageSize, channels: int = 3):
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path.absolute()} is no file. Set data.dataset.path to the zip of your images.")
        files = ZipFiles(self.path)
        listing = files.listing()
        super().__init__(files, listing.images, listing.labels, listing.class_names, image_size, channels)
