"""What kind of images lie at a path, and the image set that opens them."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Collection, Sequence
from enum import Enum
from pathlib import Path

from difflab.data.dataset import ImageSet
from difflab.data.encoded import FileImages
from difflab.data.errors import DataError
from difflab.data.folder import FolderFiles
from difflab.data.npz import IMAGES, NpzImages, array_names
from difflab.data.tar_shards import TarShards
from difflab.data.zip_archive import ZipFiles
from difflab.reading.archives import open_zip
from difflab.runtime.invocation import program
from difflab.suggest import near_name


class SourceKind(Enum):
    """The value is what a person calls it."""

    RUN = "the directory of a run"
    IMAGES_NPZ = "an npz of images"
    STATISTICS_NPZ = "an npz of statistics"
    IMAGES_AND_STATISTICS_NPZ = "an npz of images and statistics"
    FOLDER = "a folder of images"
    ZIP = "a zip of images"
    TAR_SHARDS = "WebDataset shards"
    DATA_SET = "a data set"


MEAN, COVARIANCE = "mu", "sigma"
"""What everybody calls the statistics of features in an npz."""


def kind_of(path: str | Path, data_sets: Collection[str] = ()) -> SourceKind:
    """The kind of `path`, or of the data set of that name (`data_sets`: the choices of the group `data`).

    An npz of images and statistics is a reference batch of ADM: its statistics are those of the whole training set, its images a
    part of it.
    """
    if str(path) in data_sets:
        return SourceKind.DATA_SET
    place = Path(path)
    if place.is_dir():
        return _kind_of_folder(place)
    if not place.is_file():
        raise _missing(place, data_sets)
    if place.suffix == ".npz":  # a truncated one is no zip any more
        return _kind_of_npz(place)
    if zipfile.is_zipfile(place):
        with open_zip(place) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
        return _kind_of_npz(place) if names and all(name.endswith(".npy") for name in names) else SourceKind.ZIP
    if place.suffix == ".zip":
        raise DataError(f"{place} cannot be read as a zip; it may be truncated. Make it again.")
    if place.suffix == ".tar" or _is_tar(place):
        return SourceKind.TAR_SHARDS
    raise DataError(f"{place} is nothing that difflab evaluates. {_REMEDIES.get(place.suffix, _EXPECTED)}")


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, ValueError, EOFError, OverflowError, RecursionError, MemoryError):
        return False


def _kind_of_npz(path: Path) -> SourceKind:
    present = array_names(path)
    images, statistics = IMAGES in present, MEAN in present and COVARIANCE in present
    if images and statistics:
        return SourceKind.IMAGES_AND_STATISTICS_NPZ
    if images or statistics:
        return SourceKind.IMAGES_NPZ if images else SourceKind.STATISTICS_NPZ
    raise DataError(
        f"{path} has the arrays {', '.join(present) or 'none'}; expected {IMAGES} (images [N, H, W, C]) or "
        f"{MEAN} and {COVARIANCE} (statistics)."
    )


def _kind_of_folder(path: Path) -> SourceKind:
    if (path / "config.yaml").is_file() and (path / "provenance.json").is_file():
        return SourceKind.RUN
    return SourceKind.TAR_SHARDS if any(path.glob("*.tar")) else SourceKind.FOLDER


def _missing(path: Path, data_sets: Collection[str]) -> DataError:
    """Names the last folder of the path that exists, and what in it (or which data set) has nearly that name."""
    absolute = path.absolute()
    name, folder = absolute.name, absolute.parent
    while not folder.is_dir() and folder != folder.parent:
        name, folder = folder.name, folder.parent
    beside = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = [str(folder / match) for match in [near_name(name, beside)] if match]
    near += [match for match in [near_name(str(path), data_sets)] if match]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return DataError(f"{path} does not exist: there is no {name!r} in {folder}{hint or '.'}")


_EXPECTED = "Expected an npz, a folder, a zip, tar shards, a run, or the name of a data set."
_REMEDIES = {
    ".ckpt": f"It is a checkpoint: draw images from it with {program('sample')}, or name its run.",
    ".safetensors": f"It holds weights: draw images from it with {program('sample')}, or name its run.",
    ".pt": f"It is a checkpoint: draw images from it with {program('sample')}.",
    ".npy": "Save the images with numpy.savez(file, images, labels) as an npz.",
    ".pkl": "It is a pickle, which may run code when read: save its statistics with numpy.savez(file, mu=..., sigma=...).",
    ".gz": "It is compressed: unpack it first.",
}


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
