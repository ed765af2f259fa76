"""A zip of PNG files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from difflab.files import atomic_file
from difflab.sampling.formats.format import Format
from difflab.sampling.formats.png import INDEX, edm_index, edm_name, pngs
from difflab.sampling.shards import Shards


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
