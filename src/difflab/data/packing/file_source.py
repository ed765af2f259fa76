"""What can be packed: images in files, and a line about what lies at a path."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from difflab.data.checked_files import Findings, checked_files
from difflab.data.errors import DataError, warn
from difflab.data.file_store import FileStore
from difflab.data.folder import FolderFiles
from difflab.data.huggingface import HuggingFaceRows
from difflab.data.labels import Listing
from difflab.data.packing.preparation import ArrayFile, AsItIs, Content, PackSource, Preparation, ResizedPng
from difflab.data.shard_index import INDEX, digest_of, hash_of, read_index
from difflab.data.shards import PackedFiles
from difflab.data.source_kind import kind_of, open_image_set
from difflab.reading.arrays import parse_array

_AHEAD = 64
"""Files that are read and prepared while others are written."""


class FileSource(PackSource):
    """Images in files, to be packed.

    Args:
        about: What they are.
        files: Where they lie.
        keys: Their names there.
        names: Those by which the packed set knows them.
        labels: Their classes.
        class_names: The names of the classes.
        preparation: What is done to each.
    """

    def __init__(
        self,
        about: str,
        files: FileStore,
        keys: Sequence[str],
        names: Sequence[str],
        labels: Sequence[int] | None,
        class_names: Sequence[str],
        preparation: Preparation,
    ):
        super().__init__(about, names, labels, class_names, preparation.settings, preparation.image_size)
        self._files = files
        self._keys = keys
        self._prepare = preparation

    def stamp(self) -> str:
        stamp = self._files.stamp(self._keys)
        if stamp is None:
            raise DataError(f"{self.about} has no files of which a change could be noticed. Pack a copy on disk.")
        return stamp

    def findings(self) -> Findings | None:
        """What is found in the images, of which every one is decoded the first time; None for arrays."""
        return checked_files(self._files, self._keys) if self._prepare.of_images else None

    def remarks(self, findings: Findings) -> list[str]:
        """What a person should know of the images, a sentence each."""
        labels = None if self.labels is None else torch.tensor(self.labels)
        return findings.remarks(lambda number: self._files.where(self._keys[number]), labels, self._prepare.image_size)

    def contents(self, first: int) -> Iterator[Content]:
        if findings := self.findings():
            for remark in self.remarks(findings):
                warn(f"{self.about}: {remark}")
        waiting: deque[Future[Content]] = deque()
        pool = ThreadPoolExecutor()
        try:
            for key in self._keys[first:]:
                waiting.append(pool.submit(self._one, key))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def shape(self) -> list[int] | None:
        return self._prepare.shape()

    def _one(self, key: str) -> Content:
        return self._prepare(self._files.read(key), self._files.where(key))


HUB = "hub:"
ARRAYS = (".npy",)


def open_source(
    path: str,
    image_size: int | None = None,
    split: str = "train",
    image_column: str = "image",
    label_column: str | None = "label",
) -> FileSource:
    """The images of a folder, a zip, tar shards, a packed data set or (as hub:NAME) the hub; or the .npy files of a folder.

    Args:
        path: Where they lie.
        image_size: To resize to, as PNG; None copies the files.
        split: Of a data set of the hub.
        image_column: Of a data set of the hub.
        label_column: Of a data set of the hub.
    """
    if path.startswith(HUB):
        rows = HuggingFaceRows(path.removeprefix(HUB), split, image_column, label_column)
        names = [str(row) for row in range(len(rows))]
        return _images(f"{path}, split {split}", rows, names, Listing(names, rows.labels, rows.class_names), image_size)
    place = Path(path)
    if (place / INDEX).is_file():
        return _packed(place, image_size)
    kind = kind_of(path)
    if kind.files is None:
        raise DataError(
            f"{path} is {kind.described}; what is packed is a folder, a zip, tar shards, or {HUB}NAME of the hub."
        )
    if place.is_dir() and next(place.rglob("*.npy"), None) is not None:
        if image_size is not None:
            raise DataError(f"{path} holds arrays, which are not resized: leave out image_size.")
        arrays = FolderFiles(place)
        found = arrays.listing(ARRAYS)
        labels = None if found.labels is None else found.labels.tolist()
        return FileSource(path, arrays, found.images, found.images, labels, found.class_names, ArrayFile())
    files, found = kind.files(place)
    return _images(path, files, found.images, found, image_size)


def _packed(place: Path, image_size: int | None) -> FileSource:
    """From one format to another: names, classes and so the content's hash stay."""
    index = read_index(place)
    index.check(place)
    keys = [str(number) for number in range(len(index))]
    names = [name for shard in index.shards for name in shard.names]
    if index.shape is not None and image_size is not None:
        raise DataError(f"{place} holds arrays, which are not resized: leave out image_size.")
    images = AsItIs() if image_size is None else ResizedPng(image_size)
    prepare = images if index.shape is None else ArrayFile()
    source = FileSource(str(place), PackedFiles(place, index), keys, names, index.labels, index.class_names, prepare)
    source.image_size = image_size or index.image_size
    return source


def _images(about: str, files: FileStore, keys: list[str], found: Listing, image_size: int | None) -> FileSource:
    prepare = AsItIs() if image_size is None else ResizedPng(image_size)
    labels = None if found.labels is None else found.labels.tolist()
    return FileSource(about, files, keys, found.images, labels, found.class_names, prepare)


def describe(path: str) -> dict[str, Any]:
    """Kind, number of images, bytes, sizes, images per class, the hash of names and contents, and what of the images is not as it seems.

    A damaged file is a DataError.
    """
    if (Path(path) / INDEX).is_file():
        return {"path": path, **_packed_set(path)}
    kind = None if path.startswith(HUB) else kind_of(path)
    if kind is not None and kind.arrays is not None:
        images = open_image_set(path)
        _, height, width = images.shape
        classes = {} if images.labels is None else Counter(str(label) for label in images.labels.tolist())
        sizes = {f"{width}x{height}": len(images)}
        return {"path": path, "kind": kind.described, "images": len(images), "sizes": sizes, "classes": dict(classes)}
    source = open_source(path)
    return {
        "path": path,
        "kind": "a data set of the hub" if kind is None else kind.described,
        "images": len(source.names),
        "classes": _per_class(source.labels, source.class_names),
        **(_of_arrays(source, path) if (findings := source.findings()) is None else _of_images(source, findings)),
    }


def as_text(facts: dict[str, Any], shown: int = 12) -> str:
    """`describe` in lines; at most `shown` sizes and classes."""
    lines = [f"data      {facts['path']}", f"kind      {facts['kind']}", f"images    {facts['images']:,}"]
    if "shards" in facts:
        resized = f", resized to {facts['resized_to']}" if facts["resized_to"] else ""
        lines.append(
            f"packed    {facts['shards']} shards from {facts['source']}{resized}; sizes and checksums are right"
        )
    if "bytes" in facts:
        lines.append(f"bytes     {facts['bytes']:,}")
    lines += _some("size", [f"{size:20} {count:,}" for size, count in facts["sizes"].items()], shown)
    lines += _some("class", [f"{name:20} {count:,}" for name, count in facts["classes"].items()], shown)
    if not facts["classes"]:
        lines.append("class     none")
    if "decoded" in facts:
        lines.append(f"decoded   {facts['decoded']:,} of {facts['images']:,}, and all headers were looked at")
    lines += [f"note      {remark}" for remark in facts.get("remarks", ())]
    if "content" in facts:
        lines.append(f"content   {facts['content']}")
    return "\n".join(lines)


def _packed_set(path: str) -> dict[str, Any]:
    folder = Path(path)
    index = read_index(folder)
    source = open_source(path)  # checks the shards
    findings = source.findings()
    of_images = {"sizes": {f"arrays {index.shape}": len(index)}} if findings is None else _of_images(source, findings)
    return {
        **of_images,
        "kind": f"packed as {index.format}",
        "images": len(index),
        "shards": len(index.shards),
        "bytes": sum(shard.bytes for shard in index.shards),
        "source": index.source,
        "resized_to": index.image_size,
        "classes": _per_class(index.labels, index.class_names),
        "content": index.content,
    }


def _of_images(source: FileSource, findings: Findings) -> dict[str, Any]:
    sizes = {f"{width}x{height} {mode} {form}": count for width, height, mode, form, count in findings.kinds}
    facts = {"bytes": findings.bytes, "sizes": sizes, "content": findings.content}
    return facts | {"decoded": findings.decoded, "remarks": source.remarks(findings)}


def _of_arrays(source: FileSource, path: str) -> dict[str, Any]:
    size, shapes, digests = 0, Counter[str](), []
    for content in source.contents(0):
        size += len(content.data)
        shapes[f"array {list(parse_array(content.data, path).shape)}"] += 1
        digests.append(digest_of(content.data))
    return {"bytes": size, "sizes": dict(shapes.most_common()), "content": hash_of(source.names, digests)}


def _per_class(labels: Sequence[int] | None, class_names: Sequence[str]) -> dict[str, int]:
    counts = Counter(labels or ())
    return {name: counts[number] for number, name in enumerate(class_names)}


def _some(word: str, rows: list[str], shown: int) -> list[str]:
    more = [f"{word:9} ... and {len(rows) - shown} more"] if len(rows) > shown else []
    return [f"{word:9} {row}" for row in rows[:shown]] + more
