"""What a data set is, for people."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from difflab.data.open_image_set import open_image_set
from difflab.data.packed_files import PackedFiles
from difflab.data.packing.open_source import HUB, open_source
from difflab.data.packing.source import Content
from difflab.data.shard_index import INDEX, digest_of, hash_of, read_index
from difflab.data.source_kind import SourceKind, kind_of

LOOKED_AT = 1000
"""Images of a packed set whose headers are read for the sizes."""


def describe(path: str) -> dict[str, Any]:
    """Kind, number of images, bytes, sizes, images per class, and the hash of names and contents. A damaged file is a DataError."""
    if (Path(path) / INDEX).is_file():
        return {"path": path, **_packed(Path(path))}
    kind = None if path.startswith(HUB) else kind_of(path)
    if kind in (SourceKind.IMAGES_NPZ, SourceKind.IMAGES_AND_STATISTICS_NPZ):
        images = open_image_set(path)
        _, height, width = images.shape
        classes = {} if images.labels is None else Counter(str(label) for label in images.labels.tolist())
        sizes = {f"{width}x{height}": len(images)}
        return {"path": path, "kind": kind.value, "images": len(images), "sizes": sizes, "classes": dict(classes)}
    source = open_source(path)
    size, sizes, digests = 0, Counter[str](), []
    for content in source.contents(0):
        size += len(content.data)
        sizes[_size(content)] += 1
        digests.append(digest_of(content.data))
    return {
        "path": path,
        "kind": "a data set of the hub" if kind is None else kind.value,
        "images": len(source.names),
        "bytes": size,
        "sizes": dict(sizes.most_common()),
        "classes": _per_class(source.labels, source.class_names),
        "content": hash_of(source.names, digests),
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
    if "content" in facts:
        lines.append(f"content   {facts['content']}")
    return "\n".join(lines)


def _packed(folder: Path) -> dict[str, Any]:
    index = read_index(folder)
    index.check(folder)
    if index.shape is not None:
        sizes = {f"arrays {index.shape}": len(index)}
    else:
        files = PackedFiles(folder, index)
        looked_at = np.unique(np.linspace(0, len(index) - 1, LOOKED_AT).astype(int))
        sizes = dict(Counter(_size(Content(files.read(str(number)), "")) for number in looked_at).most_common())
    return {
        "kind": f"packed as {index.format}",
        "images": len(index),
        "shards": len(index.shards),
        "bytes": sum(shard.bytes for shard in index.shards),
        "source": index.source,
        "resized_to": index.image_size,
        "sizes": sizes,
        "classes": _per_class(index.labels, index.class_names),
        "content": index.content,
    }


def _size(content: Content) -> str:
    if content.extension == ".npy":
        return f"array {list(np.load(io.BytesIO(content.data)).shape)}"
    with Image.open(io.BytesIO(content.data)) as image:
        return f"{image.width}x{image.height} {image.mode} {image.format}"


def _per_class(labels: Sequence[int] | None, class_names: Sequence[str]) -> dict[str, int]:
    counts = Counter(labels or ())
    return {name: counts[number] for number, name in enumerate(class_names)}


def _some(word: str, rows: list[str], shown: int) -> list[str]:
    more = [f"{word:9} ... and {len(rows) - shown} more"] if len(rows) > shown else []
    return [f"{word:9} {row}" for row in rows[:shown]] + more
