"""Images in files: a picture of several in rows, and the forms in which a sample set is written.

A picture is near a square, whatever the number of images and classes. Where a column for each class makes such a picture, it has one: the
digits' 100 images are ten columns of ten. Otherwise each class has a block: rows of its own (of 2 classes five rows of ten), or a few
images beside or above each other, as many classes in a line as the picture is wide and the next ones below (of 37 classes four in a line).
Classes are in order from left to right and from top to bottom, and a gap parts the blocks. With fewer images than classes each image is of
another class.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from difflab.files import atomic_file, atomic_folder
from difflab.sampling.shards import Shards

__all__ = ["Folder", "Format", "Npz", "WebDataset", "Zip", "check_pictures"]

SHOWN = 64
"""Pixels: smaller images are magnified by a whole factor, without smoothing, up to about this height."""

LONG = 2.5
"""How much longer than high, or higher than long, a picture may be in which each class has a column."""

PADDING, GAP = 2, 6
"""Pixels around each image, and those more between two blocks."""


@dataclass(frozen=True)
class GridLayout:
    """Where each image is. Image i is of class i mod `classes`.

    Attributes:
        classes: Blocks; 1 where nothing is known of classes.
        across: Blocks beside each other.
        rows: Of a block.
        columns: Of a block.
    """

    classes: int
    across: int
    rows: int
    columns: int

    @property
    def width(self) -> int:
        """Images beside each other."""
        return self.across * self.columns

    @property
    def height(self) -> int:
        """Images above each other."""
        return -(-self.classes // self.across) * self.rows

    def position(self, i: int) -> tuple[int, int]:
        """Row and column of image i."""
        place, block = divmod(i, self.classes)
        below, beside = divmod(block, self.across)
        row, column = divmod(place, self.columns)
        return below * self.rows + row, beside * self.columns + column


def grid_layout(count: int, classes: int, aspect: float = 1.0) -> GridLayout:
    """The layout of a picture.

    Args:
        count: Images, of the classes 0, 1, ... in turn.
        classes: How many; 0 for none, or where they have no such order.
        aspect: Width of an image by its height.
    """
    classes = min(max(classes, 1), count)
    each = -(-count // classes)
    if classes > 1 and max(classes * aspect / each, each / (classes * aspect)) <= LONG:
        return GridLayout(classes, classes, each, 1)
    found = [
        GridLayout(classes, across, -(-each // columns), columns)
        for columns in range(1, each + 1)
        for across in range(1, classes + 1)
    ]

    def badness(layout: GridLayout) -> tuple[float, int, int]:
        """How far from a square, and from full; then the wider one, and that with fewer blocks beside each other."""
        ratio = layout.width * aspect / layout.height
        return max(ratio, 1 / ratio) * layout.width * layout.height, -layout.width, layout.across

    return min(found, key=badness)


def grid_of(images: UInt8[Tensor, "n c h w"], classes: int) -> Float[Tensor, "3 height width"]:
    """The picture, in [0, 1]; `classes` as `grid_layout` has it."""
    scale = max(1, SHOWN // images.shape[-2])
    shown = images.float().div(255).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    high, wide = shown.shape[-2:]
    layout = grid_layout(len(images), classes, wide / high)
    apart_below = GAP * (layout.rows * layout.columns > 1)
    apart_beside = GAP * (layout.columns > 1)

    def corner(row: int, column: int) -> tuple[int, int]:
        top = PADDING + row * (high + PADDING) + row // layout.rows * apart_below
        return top, PADDING + column * (wide + PADDING) + column // layout.columns * apart_beside

    bottom, right = corner(layout.height - 1, layout.width - 1)
    picture = torch.ones(3, bottom + high + PADDING, right + wide + PADDING)
    for i, image in enumerate(shown):
        top, left = corner(*layout.position(i))
        picture[:, top : top + high, left : left + wide] = image
    return picture


class Format(ABC):
    """A way to hand a set of images on.

    Attributes:
        needs_pictures: Whether it holds images of 1 or 3 channels only.
    """

    needs_pictures: bool

    @abstractmethod
    def write(self, shards: Shards, folder: Path) -> Path:
        """Writes the set into the folder, shard by shard, whole or not at all; the path of what was written."""


def check_pictures(formats: dict[str, Format], channels: int) -> None:
    """A ValueError if one of the formats cannot hold images of so many channels."""
    for name, format in formats.items():
        if format.needs_pictures and channels not in (1, 3):
            raise ValueError(
                f"format={name} holds grey or RGB pictures and these images have {channels} channels: choose format=npz"
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

    What guided-diffusion's evaluator reads. It is the file that numpy.savez would have written, without the images in memory.
    """

    needs_pictures = False

    def write(self, shards: Shards, folder: Path) -> Path:
        c, h, w = shards.shape
        shape = (len(shards), h, w, c)
        path = folder / f"samples_{'x'.join(map(str, shape))}.npz"
        with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            pixels = (images.permute(0, 2, 3, 1).contiguous().numpy().tobytes() for _, images in shards.batches())
            _write_array(archive, "arr_0", "|u1", shape, pixels)
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
