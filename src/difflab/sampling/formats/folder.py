"""A folder of PNG files."""

from __future__ import annotations

from pathlib import Path

from difflab.files import atomic_folder
from difflab.sampling.formats.format import Format
from difflab.sampling.formats.png import INDEX, edm_index, edm_name, pngs
from difflab.sampling.shards import Shards


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
