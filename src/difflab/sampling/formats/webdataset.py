"""Tar shards."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from difflab.files import atomic_folder
from difflab.sampling.formats.format import Format
from difflab.sampling.formats.png import pngs
from difflab.sampling.shards import Shards


class WebDataset(Format):
    """webdataset/000000.tar ... with 000000.png and, for a model that is told classes, 000000.cls for each image.

    images_per_tar   how many images a tar holds
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
