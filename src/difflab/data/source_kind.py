"""What kind of images lie at a path, and the image set that opens them."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from difflab.data.dataset import ImageSet
from difflab.data.encoded import FileImages
from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.folder import FolderFiles, ZipFiles
from difflab.data.labels import Listing
from difflab.data.npz import IMAGES, NpzImages, array_names
from difflab.data.tar_shards import TarShards
from difflab.reading.archives import open_zip
from difflab.runtime.invocation import program
from difflab.suggest import near_name


@dataclass(frozen=True, eq=False)
class SourceKind:
    """A kind of things that lie at a path, and what can be done with one.

    Attributes:
        described: What a person calls it.
        files: Opens its image files and lists them; None where there are none.
        arrays: Opens its images, of which black and white can be said; None where it has no arrays of images.
        has_statistics: Whether it holds the statistics of features.
    """

    described: str
    files: Callable[[Path], tuple[FileStore, Listing]] | None = None
    arrays: Callable[[Path, Sequence[float] | None], ImageSet] | None = None
    has_statistics: bool = False

    def images(self, path: Path, value_range: Sequence[float] | None) -> ImageSet:
        """The images at a path of this kind.

        Raises:
            DataError: There are none.
        """
        if self.arrays is not None:
            return self.arrays(path, value_range)
        if self.files is None:
            raise DataError(f"{path} is {self.described}, which holds no images.")
        store, found = self.files(path)
        return FileImages(store, found.images, found.labels)


def _in_folder(path: Path) -> tuple[FileStore, Listing]:
    files = FolderFiles(path)
    return files, files.listing()


def _in_zip(path: Path) -> tuple[FileStore, Listing]:
    files = ZipFiles(path)
    return files, files.listing()


def _in_tar(path: Path) -> tuple[FileStore, Listing]:
    shards = TarShards(path)
    classes = [] if shards.labels is None else [str(number) for number in range(int(shards.labels.max()) + 1)]
    return shards, Listing(shards.names, shards.labels, classes)


RUN = SourceKind("the directory of a run")
IMAGES_NPZ = SourceKind("an npz of images", arrays=NpzImages)
STATISTICS_NPZ = SourceKind("an npz of statistics", has_statistics=True)
IMAGES_AND_STATISTICS_NPZ = SourceKind("an npz of images and statistics", arrays=NpzImages, has_statistics=True)
FOLDER = SourceKind("a folder of images", _in_folder)
ZIP = SourceKind("a zip of images", _in_zip)
TAR_SHARDS = SourceKind("WebDataset shards", _in_tar)
DATA_SET = SourceKind("a data set")

MEAN, COVARIANCE = "mu", "sigma"
"""What everybody calls the statistics of features in an npz."""


def kind_of(path: str | Path, data_sets: Collection[str] = ()) -> SourceKind:
    """The kind of `path`, or of the data set of that name (`data_sets`: the choices of the group `data`).

    An npz of images and statistics is a reference batch of ADM: its statistics are those of the whole training set, its images a
    part of it.
    """
    if str(path) in data_sets:
        return DATA_SET
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
        return _kind_of_npz(place) if names and all(name.endswith(".npy") for name in names) else ZIP
    if place.suffix == ".zip":
        raise DataError(f"{place} cannot be read as a zip; it may be truncated. Make it again.")
    if place.suffix == ".tar" or _is_tar(place):
        return TAR_SHARDS
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
        return IMAGES_AND_STATISTICS_NPZ
    if images or statistics:
        return IMAGES_NPZ if images else STATISTICS_NPZ
    raise DataError(
        f"{path} has the arrays {', '.join(present) or 'none'}; expected {IMAGES} (images [N, H, W, C]) or "
        f"{MEAN} and {COVARIANCE} (statistics)."
    )


def _kind_of_folder(path: Path) -> SourceKind:
    if (path / "config.yaml").is_file() and (path / "provenance.json").is_file():
        return RUN
    return TAR_SHARDS if any(path.glob("*.tar")) else FOLDER


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

    Args:
        path: Where they lie.
        value_range: What black and white are in an npz of floats, as (-1, 1) or (0, 1).
    """
    return kind_of(path).images(Path(path), value_range)
