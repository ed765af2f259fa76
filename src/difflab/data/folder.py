"""Images in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError, some, warn
from difflab.data.file_store import FileStore
from difflab.data.image_file import EXTENSIONS, unreadable
from difflab.data.labels import INDEX, LARGEST_INDEX, Listing, list_images
from difflab.reading import read_bytes
from difflab.runtime.foreign_code import file_stamps

_SHOWN = 3
"""Names in a message."""


class FolderFiles(FileStore):
    """The files of a folder and of all folders below it. Links to folders and files are followed; a link to a folder that it lies in
    is not. Names with a leading dot are left out.

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

    root        the folder, searched recursively; names with a leading dot are ignored
    image_size  side to which every image is resized and centre-cropped
    channels    3 colour, 1 grey
    """

    def __init__(self, root: str | Path, image_size: int, channels: int = 3):
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root.absolute()} is no folder. Set data.dataset.root to the folder of your images.")
        files = FolderFiles(self.root)
        listing = files.listing()
        super().__init__(files, listing.images, listing.labels, listing.class_names, image_size, channels)
