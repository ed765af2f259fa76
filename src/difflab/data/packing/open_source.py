"""A source to pack from a path, or from the name of a data set of the hub."""

from __future__ import annotations

from pathlib import Path

from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.folder_files import FolderFiles
from difflab.data.huggingface_rows import HuggingFaceRows
from difflab.data.labels import Listing
from difflab.data.packed_files import PackedFiles
from difflab.data.packing.file_source import FileSource
from difflab.data.packing.preparation import ArrayFile, AsItIs, ResizedPng
from difflab.data.shard_index import INDEX, read_index
from difflab.data.source_kind import SourceKind, kind_of
from difflab.data.tar_shards import TarShards
from difflab.data.zip_files import ZipFiles

HUB = "hub:"
ARRAYS = (".npy",)


def open_source(
    path: str,
    image_size: int | None = None,
    split: str = "train",
    image_column: str = "image",
    label_column: str | None = "label",
) -> FileSource:
    """The images of a folder, a zip, tar shards, a packed data set or (as hub:NAME) the hub; or the .npy files of a folder.

    image_size     to resize to, as PNG; None copies the files
    split          the rest is for the hub
    image_column
    label_column
    """
    if path.startswith(HUB):
        rows = HuggingFaceRows(path.removeprefix(HUB), split, image_column, label_column)
        names = [str(row) for row in range(len(rows))]
        return _images(f"{path}, split {split}", rows, names, Listing(names, rows.labels, rows.class_names), image_size)
    place = Path(path)
    if (place / INDEX).is_file():
        return _packed(place, image_size)
    kind = kind_of(path)
    if kind is SourceKind.FOLDER and next(place.rglob("*.npy"), None) is not None:
        if image_size is not None:
            raise DataError(f"{path} holds arrays, which are not resized: leave out image_size.")
        files = FolderFiles(place)
        found = files.listing(ARRAYS)
        labels = None if found.labels is None else found.labels.tolist()
        return FileSource(path, files, found.images, found.images, labels, found.class_names, ArrayFile())
    if kind is SourceKind.FOLDER or kind is SourceKind.ZIP:
        files = FolderFiles(place) if kind is SourceKind.FOLDER else ZipFiles(place)
        found = files.listing()
        return _images(path, files, found.images, found, image_size)
    if kind is SourceKind.TAR_SHARDS:
        shards = TarShards(place)
        class_names = [] if shards.labels is None else [str(c) for c in range(int(shards.labels.max()) + 1)]
        return _images(path, shards, shards.names, Listing(shards.names, shards.labels, class_names), image_size)
    raise DataError(f"{path} is {kind.value}; what is packed is a folder, a zip, tar shards, or {HUB}NAME of the hub.")


def _packed(place: Path, image_size: int | None) -> FileSource:
    """From one format to another: names, classes and so the content's hash stay."""
    index = read_index(place)
    index.check(place)
    keys = [str(number) for number in range(len(index))]
    names = [name for shard in index.shards for name in shard.names]
    if index.shape is not None and image_size is not None:
        raise DataError(f"{place} holds arrays, which are not resized: leave out image_size.")
    images = AsItIs() if image_size is None else ResizedPng(image_size)
    prepare = images if index.shape is None else ArrayFile()
    source = FileSource(str(place), PackedFiles(place, index), keys, names, index.labels, index.class_names, prepare)
    source.image_size = image_size or index.image_size
    return source


def _images(about: str, files: FileStore, keys: list[str], found: Listing, image_size: int | None) -> FileSource:
    prepare = AsItIs() if image_size is None else ResizedPng(image_size)
    labels = None if found.labels is None else found.labels.tolist()
    return FileSource(about, files, keys, found.images, labels, found.class_names, prepare)
