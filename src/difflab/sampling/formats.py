"""The forms in which a sample set is written."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from difflab.files import atomic_file, atomic_folder
from difflab.sampling.shards import Shards

__all__ = ["Folder", "Format", "Npz", "WebDataset", "Zip", "check_pictures"]


class Format(ABC):
    """A way to hand a set of images on.

    Attributes:
        needs_pictures: Whether it holds images of 1 or 3 channels only.
    """

    needs_pictures: bool

    @abstractmethod
    def write(self, shards: Shards, folder: Path) -> Path:
        """Writes the set into the folder, shard by shard, whole or not at all; the path of what was written."""


def check_pictures(formats: dict[str, Format], shape: Sequence[int]) -> None:
    """A ValueError if one of the formats cannot hold what has this shape (C, *size)."""
    for name, format in formats.items():
        if format.needs_pictures and (len(shape) != 3 or shape[0] not in (1, 3)):
            raise ValueError(
                f"format={name} holds grey or RGB pictures, and what is drawn has the shape {list(shape)}: choose format=npz"
            )


INDEX = "dataset.json"


def pngs(shards: Shards) -> Iterator[tuple[int, bytes]]:
    """(number of the image, PNG) of all images in order."""
    with ThreadPoolExecutor() as pool:
        for first, images in shards.batches():
            yield from enumerate(pool.map(encoded, images), start=first)


def encoded(image: UInt8[Tensor, "c h w"]) -> bytes:
    """A grey or RGB image as PNG."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    # the fastest level: half a per cent larger and several times quicker than the default
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def edm_name(number: int) -> str:
    """A thousand images to a folder."""
    return f"{number // 1000:05d}/img{number:08d}.png"


def edm_index(shards: Shards) -> str:
    """dataset.json: {"labels": [[name, class number], ...]}, or null for images without classes."""
    labels = None if shards.labels is None else [[edm_name(i), n] for i, n in enumerate(shards.labels.tolist())]
    return json.dumps({"labels": labels}, allow_nan=False)


class Folder(Format):
    """images/00000/img00000000.png ... and images/dataset.json with the labels: what data=folder reads."""

    needs_pictures = True

    def write(self, shards: Shards, folder: Path) -> Path:
        path = folder / "images"
        with atomic_folder(path) as aside:
            for number, png in pngs(shards):
                file = aside / edm_name(number)
                if number % 1000 == 0:
                    file.parent.mkdir()
                file.write_bytes(png)
            (aside / INDEX).write_text(edm_index(shards), encoding="utf-8")
        return path


class Npz(Format):
    """samples_NxHxWxC.npz: arr_0 uint8 [N, H, W, C], and arr_1 int64 [N], the labels, for a class-conditional model.

    Of points arr_0 is float32 [N, C], of clips uint8 [N, T, H, W, C].

    What guided-diffusion's evaluator reads. It is the file that numpy.savez would have written, without the images in memory.
    """

    needs_pictures = False

    def write(self, shards: Shards, folder: Path) -> Path:
        channels, *size = shards.shape
        shape = (len(shards), *size, channels)
        path = folder / f"samples_{'x'.join(map(str, shape))}.npz"
        with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            pixels = (images.movedim(1, -1).contiguous().numpy().tobytes() for _, images in shards.batches())
            _write_array(archive, "arr_0", "|u1" if shards.holds_pixels else "<f4", shape, pixels)
            if shards.labels is not None:
                _write_array(
                    archive, "arr_1", "<i8", (len(shards),), [shards.labels.numpy().astype("<i8", copy=False).tobytes()]
                )
        return path


def _write_array(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], parts: Iterable[bytes]
) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)  # pyright: ignore[reportArgumentType]
        for part in parts:
            file.write(part)


class WebDataset(Format):
    """webdataset/000000.tar ... with 000000.png and, for a class-conditional model, 000000.cls for each image.

    Args:
        images_per_tar: How many images a tar holds.
    """

    needs_pictures = True

    def __init__(self, images_per_tar: int):
        if images_per_tar < 1:
            raise ValueError(f"format.webdataset.images_per_tar={images_per_tar} must be at least 1")
        self.images_per_tar = images_per_tar

    def write(self, shards: Shards, folder: Path) -> Path:
        path = folder / "webdataset"
        images = pngs(shards)
        with atomic_folder(path) as aside:
            for first in range(0, len(shards), self.images_per_tar):
                with tarfile.open(aside / f"{first // self.images_per_tar:06d}.tar", "w") as tar:
                    for _ in range(min(self.images_per_tar, len(shards) - first)):
                        number, png = next(images)
                        _add(tar, f"{number:06d}.png", png)
                        if shards.labels is not None:
                            _add(tar, f"{number:06d}.cls", str(int(shards.labels[number])).encode())
        return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


class Zip(Format):
    """images.zip in the layout of EDM's and StyleGAN's dataset_tool, with dataset.json: what data=zip and their tools read."""

    needs_pictures = True

    def write(self, shards: Shards, folder: Path) -> Path:
        path = folder / "images.zip"
        with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            for number, png in pngs(shards):
                archive.writestr(
                    zipfile.ZipInfo(edm_name(number)), png
                )  # without a date, so equal sets are equal files
            archive.writestr(zipfile.ZipInfo(INDEX), edm_index(shards))
        return path
