"""Labels of image files: from a JSON beside them (EDM's layout), else from the folders they lie in."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from difflab.data.errors import DataError, some, warn
from difflab.data.image_file import EXTENSIONS
from difflab.reading import parse_json, shown
from difflab.reading.archives import check_inside

INDEX = "dataset.json"

CLASSES = 1_000_000
"""Of a data set at most. A class number is a row of an embedding, so one that is out of place would ask for all memory."""

LARGEST_LIST = 5_000_000
"""Images in a list of labels, at most."""

LARGEST_INDEX = 2**28
"""Bytes of a list of labels: 256 MiB, enough for five million images."""

_SHOWN = 3
"""Names in a message."""


class Listing(NamedTuple):
    """The images among some files, and their labels."""

    images: list[str]
    labels: Int[Tensor, " n"] | None
    class_names: list[str]


def list_images(
    files: Sequence[str],
    index: bytes | None,
    where: str,
    extensions: tuple[str, ...] = EXTENSIONS,
    folders: Sequence[str] = (),
) -> Listing:
    """Sorts out which files are images, and of which class.

    Args:
        files: Relative paths with forward slashes. Those with a leading dot anywhere are left out, and said if they look like images.
        index: The content of dataset.json.
        where: What the files lie in.
        extensions: Of what counts as an image.
        folders: The folders at the top, files in them or not.

    Raises:
        DataError: A file is no image, has no label, or has a name that is no text.
    """
    check_names(files, where)
    shown = sorted(file for file in files if file != INDEX and not _is_hidden(file))
    hidden = sorted(file for file in files if _is_hidden(file) and file.lower().endswith(extensions))
    if hidden:
        warn(f"{where}: {len(hidden):,} images are left out, being hidden by a leading dot: {_some(hidden)}")
    others = [file for file in shown if not file.lower().endswith(extensions)]
    if others:
        more = f", and {len(others) - 1:,} more are none" if len(others) > 1 else ""
        raise DataError(f"{where}/{others[0]} is no image ({', '.join(extensions)}){more}. Convert it or move it away.")
    if not shown:
        raise DataError(
            f"{where} contains no images. Put {'/'.join(extensions[:3])} files there, one sub-folder per class."
        )
    if index is not None:
        return _from_index(shown, index, f"{where}/{INDEX}")
    listing = _from_folders(shown, where)
    empty = sorted(set(folders) - set(listing.class_names))
    if listing.class_names and (empty := [folder for folder in empty if not _is_hidden(folder)]):
        warn(f"{where}: {len(empty):,} folders hold no images and are no classes: {_some(empty)}")
    return listing


def check_class(label: Any, where: str) -> None:
    """Refuses what is no class number.

    Args:
        label: As a file has it.
        where: Of which image, and where it stands.
    """
    if type(label) is not int or label < 0:
        raise DataError(f"{where} is {shown(label)}, expected a class number 0, 1, ...")
    if label >= CLASSES:
        raise DataError(
            f"{where} is {label}, expected a class number 0, 1, ... below {CLASSES:,}. Number the classes without gaps."
        )


def check_names(names: Sequence[str], where: str) -> None:
    """Refuses names that are no UTF-8 or lead elsewhere, and names twice; says which look alike, or would not on another computer.

    Args:
        names: Relative paths with forward slashes.
        where: What the files lie in.
    """
    wrong = [name for name in names if not name.isascii() and name != name.encode("utf-8", "ignore").decode()]
    if wrong:
        bytes_of = [repr(os.fsencode(name)) for name in wrong[:_SHOWN]]
        raise DataError(
            f"{where}: {len(wrong):,} names are not UTF-8: {some(bytes_of, len(wrong))}. Rename them, as with "
            "convmv -f latin1 -t utf8 -r --notest."
        )
    check_inside(names, where)
    twice = [name for name, count in Counter(names).items() if count > 1] if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{where}: {len(twice):,} names stand for two files each: {_some(twice)}. Keep one.")
    unlike = {name for name in _with_folders(names) if not unicodedata.is_normalized("NFC", name)}
    if not unlike:
        return
    composed = {unicodedata.normalize("NFC", name): name for name in sorted(unlike)}
    alike = sorted(composed.keys() & _with_folders(names))
    if alike:
        warn(
            f"{where}: {len(alike):,} names occur in two spellings of Unicode that look the same (NFC and NFD) and are two files or "
            f"classes: {_some(alike)}. Merge them, as with convmv --nfc"
        )
    else:
        warn(
            f"{where}: {len(unlike):,} names are written in pieces (NFD), as by macOS: {_some(sorted(unlike))}. Where a copy has them "
            "composed (NFC) it counts as another data set; convmv --nfc composes them"
        )


def _with_folders(names: Sequence[str]) -> set[str]:
    """The names that are not ASCII, and the folders on their way."""
    found = set()
    for name in names:
        if not name.isascii():
            parts = name.split("/")
            found.update("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found


def _from_index(files: list[str], index: bytes, where: str) -> Listing:
    """{"labels": [[file, class number], ...]}, or {"labels": null} for images without classes."""
    content = parse_json(index, where, containers=LARGEST_LIST)
    entries = content.get("labels")
    if "labels" in content and entries is None:
        return Listing(files, None, [])
    if not isinstance(entries, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in entries
    ):
        raise DataError(f'{where}: expected {{"labels": [["file.png", 0], ...]}} or null, found {shown(content)}.')
    table = dict(entries)
    _check_entries(entries, table, where)
    composed = {unicodedata.normalize("NFC", str(name)): name for name in table}
    for file in files:
        if file not in table:
            other = composed.get(unicodedata.normalize("NFC", file))
            alike = "" if other is None else f" It has one for the same name in another spelling of Unicode, {other!a}."
            raise DataError(f"{where} has no label for {file}. Add one, or remove the image.{alike}")
        check_class(table[file], f"{where}: the label of {file}")
    if absent := sorted(table.keys() - set(files)):
        raise DataError(f"{where} has a label for {absent[0]}, which is not there. Add the image, or remove the label.")
    labels = torch.tensor([table[file] for file in files])
    return Listing(files, labels, [str(label) for label in range(int(labels.max()) + 1)])


def _check_entries(entries: Any, table: dict[str, Any], where: str) -> None:
    """One label for each file."""
    if len(entries) == len(table):
        return
    apart = [file for file, label in entries if label != table[file]]
    if apart:
        first = [label for file, label in entries if file == apart[0]]
        raise DataError(
            f"{where} has {len(apart):,} files with two labels, as {apart[0]}: {first}. Keep one of each; up to now the last one was taken."
        )
    warn(f"{where} lists {len(entries) - len(table):,} files twice, with the same label")


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


def _is_hidden(file: str) -> bool:
    return file.startswith(".") or "/." in file


def _some(names: Sequence[str]) -> str:
    return some(names[:_SHOWN], len(names))
