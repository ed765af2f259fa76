"""Images packed into shards, and latents that are encoded once and kept."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.data.file_store import cache_directory
from difflab.data.packing.formats import Example, ShardFormat, WebDataset
from difflab.data.packing.preparation import Content, PackSource
from difflab.data.shard_index import INDEX, WORK, Shard, ShardIndex, crc32, digest_of, hash_of, read_index
from difflab.data.shards import PackedFiles, ShardedLatents
from difflab.files import move, write_bytes, write_json
from difflab.reading import read_json

Report = Callable[[str, int, int], None]
"""(what is being done, examples done, examples in all)"""


@dataclasses.dataclass(frozen=True)
class _Done:
    """A finished shard, with the hash of each content and the shape of arrays."""

    shard: Shard
    digests: list[str]
    shape: list[int] | None


def pack(source: PackSource, out: str | Path, form: ShardFormat, shard_mb: int = 256, report: Report = lambda *_: None):
    """Packs `source` into the folder `out`; the `ShardIndex`, after all was read back and its hash compared with the source's.

    A shard appears whole or not at all. After an interruption the same command goes on with the shard that was being written; with
    another source or other settings it is refused.
    """
    out = Path(out)
    if not 1 <= shard_mb <= form.largest // 2**21:
        raise DataError(f"shard_mb={shard_mb}: a shard of {form.name} has 1 to {form.largest // 2**21} MB.")
    if not source.names:
        raise DataError(f"{source.about} is empty: there is nothing to pack.")
    plan = _plan(source, form, shard_mb * 2**20)
    if (out / INDEX).exists():
        index = read_index(out)
        if index.plan != plan["hash"] and not _holds(index, source, form, shard_mb * 2**20):
            raise DataError(
                f"{out} holds another packed data set ({index.source}, {index.format}). Choose another folder."
            )
        index.check(out)
        shutil.rmtree(out / WORK, ignore_errors=True)  # a kill may have come before this was done
        return index
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        with FileLock(out / WORK / "lock", timeout=0):
            index = _packed(source, out, form, shard_mb * 2**20, plan, report)
            index.check(out)
        shutil.rmtree(out / WORK)
    except Timeout as error:
        raise DataError(f"another process is packing into {out}. Wait for it, or stop it.") from error
    except OSError as error:
        raise DataError(f"{out}: {error}. Mend this and run the same command again: it goes on.") from error
    return index


def _holds(index: ShardIndex, source: PackSource, form: ShardFormat, shard_bytes: int) -> bool:
    """Whether packing would give these shards, by all contents of the source: their files may have been copied since, or touched."""
    labels = None if source.labels is None else [int(label) for label in source.labels]
    said = (source.about, form.name, source.image_size, list(source.class_names), labels)
    if (index.source, index.format, index.image_size, index.class_names, index.labels) != said:
        return False
    counts, digests = [], []
    for examples in _shards(source, 0, shard_bytes):
        counts.append(len(examples))
        digests += [digest_of(example.content) for example in examples]
    return counts == [len(s.names) for s in index.shards] and index.content == hash_of(source.names, digests)


def _packed(
    source: PackSource, out: Path, form: ShardFormat, shard_bytes: int, plan: dict[str, str], report: Report
) -> ShardIndex:
    _check_plan(out, plan)
    done = list(_done(out))
    count, total = sum(len(each.digests) for each in done), len(source.names)
    report("packing", count, total)
    for examples in _shards(source, count, shard_bytes):
        done.append(_write(out, form, len(done), examples, source))
        count += len(examples)
        report("packing", count, total)
    digests = [bytes.fromhex(digest) for each in done for digest in each.digests]
    index = ShardIndex(
        format=form.name,
        source=source.about,
        image_size=source.image_size,
        shape=done[0].shape,
        class_names=list(source.class_names),
        content=hash_of(source.names, digests),
        plan=plan["hash"],
        shards=[each.shard for each in done],
    )
    _check(out, index, digests, report)
    for name, content in form.side_files(out, index).items():
        write_bytes(out / name, content)
    index.save(out)
    return index


def _shards(source: PackSource, first: int, shard_bytes: int) -> Iterator[list[Example]]:
    """The examples from `first` on, in shards: a new one where the next example would make it larger than `shard_bytes`."""
    waiting: list[Example] = []
    size = 0
    for number, content in enumerate(source.contents(first) if first < len(source.names) else (), first):
        if waiting and size + len(content.data) > shard_bytes:
            yield waiting
            waiting, size = [], 0
        label = None if source.labels is None else int(source.labels[number])
        waiting.append(Example(number, source.names[number], content.data, content.extension, label))
        size += len(content.data)
    if waiting:
        yield waiting


def _write(out: Path, form: ShardFormat, number: int, examples: list[Example], source: PackSource) -> _Done:
    name = f"{number:06}{form.extension}"
    beside = out / WORK / name
    offsets = form.write(beside, examples, source.class_names)
    shard = Shard(
        file=name,
        bytes=beside.stat().st_size,
        crc32=crc32(beside),
        names=[example.name for example in examples],
        labels=[e.label for e in examples if e.label is not None] if source.labels is not None else None,
        offsets=offsets,
        sizes=[len(example.content) for example in examples],
    )
    done = _Done(shard, [digest_of(example.content).hex() for example in examples], source.shape())
    move(beside, out / name)
    write_json(out / WORK / f"{number:06}.json", dataclasses.asdict(done), indent=None)
    return done


def _done(out: Path) -> Iterator[_Done]:
    """The finished shards, up to the first that is missing."""
    number = 0
    while (note := out / WORK / f"{number:06}.json").is_file():
        fields = read_json(note)
        shard = Shard(**fields["shard"])
        path = out / shard.file
        if not path.is_file() or path.stat().st_size != shard.bytes:
            return
        yield _Done(shard, fields["digests"], fields["shape"])
        number += 1


def _plan(source: PackSource, form: ShardFormat, shard_bytes: int) -> dict[str, str]:
    """What is to be done; its hash tells whether an unfinished packing is the same."""
    labels = None if source.labels is None else [int(label) for label in source.labels]
    state = repr((source.stamp(), list(source.names), labels, list(source.class_names)))
    plan = {
        "source": source.about,
        "state of the source": hashlib.blake2b(state.encode(), digest_size=16).hexdigest(),
        "format": form.name,
        "settings": source.settings,
        "bytes in a shard": str(shard_bytes),
    }
    return {**plan, "hash": hashlib.blake2b(repr(plan).encode(), digest_size=16).hexdigest()}


def _check_plan(out: Path, plan: dict[str, str]) -> None:
    path = out / WORK / "plan.json"
    if path.is_file():
        before = read_json(path)
        for key in plan:
            if before[key] != plan[key]:
                raise DataError(
                    f"{out} holds an unfinished packing with another {key} ({before[key]}, now {plan[key]}). Give the same as before, "
                    "another folder, or remove this one."
                )
    elif others := [entry.name for entry in out.iterdir() if entry.name != WORK]:
        raise DataError(f"{out} is not empty: it has {others[0]}. Choose a new folder.")
    else:
        write_json(path, plan)


def _check(out: Path, index: ShardIndex, digests: list[bytes], report: Report) -> None:
    """Reads every content back as training will, and compares it with what was read from the source."""
    files = PackedFiles(out, index)
    names = chain.from_iterable(shard.names for shard in index.shards)
    for number, (name, digest) in enumerate(zip(names, digests, strict=True)):
        if digest_of(files.read(str(number))) != digest:
            raise DataError(
                f"{files.where(str(number))} differs from {name} of the source. Remove {out} and pack again."
            )
        if number % 256 == 255 or number + 1 == len(digests):
            report("checking", number + 1, len(digests))


class _EncodedSource(PackSource):
    """encode(images) of a data set."""

    def __init__(self, dataset: ImageDataset, encode: Callable[[Tensor], Tensor], encoder: str, batch_size: int):
        labels = None if dataset.labels is None else dataset.labels.tolist()
        names = [str(number) for number in range(len(dataset))]
        super().__init__(f"{dataset.fingerprint} by {encoder}", names, labels, dataset.class_names, encoder, None)
        self._dataset, self._encode, self._batch_size = dataset, encode, batch_size
        self._shape: list[int] | None = None

    def stamp(self) -> str:
        return self._dataset.fingerprint

    @torch.no_grad()
    def contents(self, first: int) -> Iterator[Content]:
        for start in range(first, len(self._dataset), self._batch_size):
            chosen = range(start, min(start + self._batch_size, len(self._dataset)))
            for array in self._encode(self._dataset.images(chosen)).float().cpu().numpy():
                self._shape = list(array.shape)
                stream = io.BytesIO()
                np.save(stream, array)
                yield Content(stream.getvalue(), ".npy")

    def shape(self) -> list[int] | None:
        return self._shape


def cached_latents(
    dataset: ImageDataset,
    encode: Callable[[Tensor], Tensor],
    encoder: str,
    folder: str | Path | None = None,
    batch_size: int = 64,
    report: Report = lambda *_: None,
) -> ShardedLatents:
    """The latents of all images in order, with the classes of the data set.

    Args:
        dataset: The images.
        encode: uint8 images [n, C, H, W] -> latents [n, c, h, h].
        encoder: Its name and a hash of its weights: latents of another encoder are others.
        folder: Where they are kept; None: the cache.
        batch_size: Images encoded at a time.
        report: Called with the progress.
    """
    key = hashlib.blake2b(repr((dataset.fingerprint, encoder)).encode(), digest_size=16).hexdigest()
    place = Path(folder) / key if folder is not None else cache_directory("latents") / key
    pack(_EncodedSource(dataset, encode, encoder, batch_size), place, WebDataset(), report=report)
    return ShardedLatents(place)
