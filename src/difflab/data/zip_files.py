"""Files in a zip."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.image_file import unreadable
from difflab.data.labels import INDEX, Listing, list_images


class ZipFiles(FileStore):
    """path   the archive"""

    def __init__(self, path: Path):
        self.path = path
        self._open()

    def listing(self) -> Listing:
        """The images and their classes: by dataset.json if there is one, else by the first sub-folders."""
        files = [entry.filename for entry in self._archive.infolist() if not entry.is_dir()]
        return list_images(files, self.read(INDEX) if INDEX in files else None, str(self.path))

    def read(self, name: str) -> bytes:
        if self._process != os.getpid():  # a forked worker must not share the file's position with its parent
            self._open()
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise unreadable(self.where(name), error) from error

    def where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def stamp(self, names: Sequence[str]) -> str:
        return repr([self._archive.getinfo(name).CRC for name in names])

    def _open(self) -> None:
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be read as a zip ({error}). Make it again.") from error
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archive": None, "_process": None}  # a spawned worker opens its own
