"""Files below a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from difflab.data.file_stamp import file_stamps
from difflab.data.file_store import FileStore
from difflab.data.image_file import EXTENSIONS, unreadable
from difflab.data.labels import INDEX, Listing, list_images


class FolderFiles(FileStore):
    """root   the folder, searched recursively; names with a leading dot are ignored"""

    def __init__(self, root: Path):
        self.root = root

    def listing(self, extensions: tuple[str, ...] = EXTENSIONS) -> Listing:
        """The images (files with these extensions) and their classes: by dataset.json if there is one, else by the first sub-folders."""
        files = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]
        index = self.root / INDEX
        return list_images(files, index.read_bytes() if index.is_file() else None, str(self.root), extensions)

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
