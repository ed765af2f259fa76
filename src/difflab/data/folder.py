"""A folder of image files."""

from __future__ import annotations

from pathlib import Path

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.folder_files import FolderFiles


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
