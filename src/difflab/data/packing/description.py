"""What a data set is, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.data.checked_files import Findings
from difflab.data.packing.file_source import HUB, FileSource, open_source
from difflab.data.shard_index import INDEX, digest_of, hash_of, read_index
from difflab.data.source_kind import kind_of, open_image_set
from difflab.reading.arrays import parse_array


def describe(path: str) -> dict[str, Any]:
    """Kind, number of images, bytes, sizes, images per class, the hash of names and contents, and what of the images is not as it
    seems. A damaged file is a DataError."""
    if (Path(path) / INDEX).is_file():
        return {"path": path, **_packed(path)}
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


def _packed(path: str) -> dict[str, Any]:
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
