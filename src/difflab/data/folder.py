"""A folder of image files."""

from __future__ import annotations

import os
from pathlib import Path

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.labels import INDEX, list_images


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
        files = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]
        index = self.root / INDEX
        listing = list_images(files, index.read_bytes() if index.is_file() else None, str(self.root))
        super().__init__(listing.images, listing.labels, listing.class_names, image_size, channels)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def where(self, name: str) -> str:
        return str(self.root / name)

    def stamp(self) -> str:
        status = [os.stat(self.root / name) for name in self._names]
        return repr((str(self.root.absolute()), [(file.st_size, file.st_mtime_ns) for file in status]))
