"""Images from a path, whatever the form in which somebody stored them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from difflab.data.errors import DataError
from difflab.data.file_images import FileImages
from difflab.data.folder_files import FolderFiles
from difflab.data.image_set import ImageSet
from difflab.data.npz_images import NpzImages
from difflab.data.source_kind import SourceKind, kind_of
from difflab.data.tar_shards import TarShards
from difflab.data.zip_files import ZipFiles


def open_image_set(path: str | Path, value_range: Sequence[float] | None = None) -> ImageSet:
    """The images of an npz, a folder, a zip or tar shards, checked to the last pixel (once; the result is remembered).

    value_range   what black and white are in an npz of floats, as (-1, 1) or (0, 1)
    """
    place, kind = Path(path), kind_of(path)
    if kind in (SourceKind.IMAGES_NPZ, SourceKind.IMAGES_AND_STATISTICS_NPZ):
        return NpzImages(place, value_range)
    if kind is SourceKind.TAR_SHARDS:
        shards = TarShards(place)
        return FileImages(shards, shards.names, shards.labels)
    if kind is SourceKind.FOLDER or kind is SourceKind.ZIP:
        files = FolderFiles(place) if kind is SourceKind.FOLDER else ZipFiles(place)
        listing = files.listing()
        return FileImages(files, listing.images, listing.labels)
    raise DataError(f"{place} is {kind.value}, which holds no images.")
