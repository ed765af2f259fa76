"""Labels of image files: from a JSON beside them (EDM's layout), else from the folders they lie in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.errors import DataError
from difflab.data.image_file import EXTENSIONS

INDEX = "dataset.json"


class Listing(NamedTuple):
    """The images among some files, and their labels."""

    images: list[str]
    labels: Int[Tensor, " n"] | None
    class_names: list[str]


def list_images(
    files: Sequence[str], index: bytes | None, where: str, extensions: tuple[str, ...] = EXTENSIONS
) -> Listing:
    """Sort out files (relative paths with forward slashes) that lie in `where`; `index` is the content of dataset.json.

    extensions   of what counts as an image
    """
    files = sorted(file for file in files if file != INDEX and not any(part[0] == "." for part in file.split("/")))
    for file in files:
        if not file.lower().endswith(extensions):
            raise DataError(f"{where}/{file} is no image ({', '.join(extensions)}). Convert it or move it away.")
    if not files:
        raise DataError(
            f"{where} contains no images. Put {'/'.join(extensions[:3])} files there, one sub-folder per class."
        )
    if index is not None:
        return _from_index(files, index, f"{where}/{INDEX}")
    return _from_folders(files, where)


def _from_index(files: list[str], index: bytes, where: str) -> Listing:
    """{"labels": [[file, class number], ...]}, or {"labels": null} for images without classes."""
    try:
        entries = json.loads(index)["labels"]
        table = None if entries is None else dict(entries)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f'{where}: expected {{"labels": [["file.png", 0], ...]}} or null ({error!r}).') from error
    if table is None:
        return Listing(files, None, [])
    for file in files:
        if file not in table:
            raise DataError(f"{where} has no label for {file}. Add one, or remove the image.")
        if type(table[file]) is not int or table[file] < 0:
            raise DataError(f"{where}: the label of {file} is {table[file]!r}, expected a class number 0, 1, ...")
    if absent := sorted(table.keys() - set(files)):
        raise DataError(f"{where} has a label for {absent[0]}, which is not there. Add the image, or remove the label.")
    labels = torch.tensor([table[file] for file in files])
    return Listing(files, labels, [str(label) for label in range(int(labels.max()) + 1)])


def _from_folders(files: list[str], where: str) -> Listing:
    """The class is the first folder of the path; images that all lie at the top have no classes."""
    at_top = [file for file in files if "/" not in file]
    if len(at_top) == len(files):
        return Listing(files, None, [])
    if at_top:
        raise DataError(f"{where}/{at_top[0]} has no label: other images lie in a folder per class. Move it into one.")
    folders = [file.split("/")[0] for file in files]
    class_names = sorted(set(folders))
    number = {name: position for position, name in enumerate(class_names)}
    return Listing(files, torch.tensor([number[folder] for folder in folders]), class_names)
