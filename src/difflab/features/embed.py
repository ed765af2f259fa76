"""From images to stored features, once per content.

Images that are there twice, pixel by pixel: within a set of samples, and in the reference too.

A distance between Gaussians sees neither: 1,000 copies of one image are a set with little variance, and samples that are training images
have the best distance there is.

From images to stored features, once per content: the network runs a single time however many metrics, sweeps and error bars follow.

    FOLDER/features-KEY/part-00000.safetensors    columns of the images 0 .. 1023
                        part-00001.safetensors    columns of the images 1024 .. 2047, and so on

KEY is a hash of the images' fingerprint, the extractor's and the version of this protocol, never a folder's name. A part is written
whole or not at all and is memory-mapped when it is read; one that is missing or damaged is computed again, and only that one. The rows of a
part that takes long are kept meanwhile (`PartialResults`). Processes share the parts that are missing. While the network computes, threads
read the next images and write the last part. Batches start at fixed rows, so the features depend neither on the number of processes nor on
what an interrupted call had done.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from difflab.data.dataset import ImageSource, Labelled, pixel_digest
from difflab.distributed.group import rank, sum_over_processes, world_size
from difflab.features.extractor import FeatureExtractor, FeatureSet
from difflab.features.partial import PartialResults
from difflab.files import write_bytes
from difflab.reading.arrays import opened_safetensors

Request = TypeVar("Request")
Item = TypeVar("Item")


def prefetched(read: Callable[[Request], Item], requests: Iterable[Request]) -> Iterator[Item]:
    """read(request) of every request, in order. At most two items are in memory; an error comes out where its item would have."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Item] | None = None
        for request in requests:
            following = pool.submit(read, request)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


_AT_ONCE = 256


def digests_of(images: Tensor) -> UInt8[Tensor, "b 16"]:
    """A hash of each image [B, C, *size], as it is stored."""
    hashes = b"".join(pixel_digest(image.movedim(0, -1).cpu().numpy()) for image in images)
    return torch.frombuffer(bytearray(hashes), dtype=torch.uint8).reshape(-1, 16)


def digests_of_all(source: ImageSource, extractor: FeatureExtractor) -> UInt8[Tensor, "n 16"]:
    """Of all images of a source, each of which is read, in the form that an extractor takes."""
    starts = range(0, len(source), _AT_ONCE)
    return torch.cat(
        [digests_of(extractor.admitted(source.images(range(s, min(s + _AT_ONCE, len(source)))))) for s in starts]
    )


def copies_within(digests: UInt8[Tensor, "n 16"]) -> int:
    """How many images equal an earlier one."""
    return len(digests) - len(np.unique(_values(digests)))


def copies_of(digests: UInt8[Tensor, "n 16"], others: UInt8[Tensor, "m 16"]) -> int:
    """How many images equal one of the others."""
    return int(np.isin(_values(digests), _values(others)).sum())


def _values(digests: Tensor) -> NDArray[np.uint64]:
    """The first 8 of the 16 bytes as a number: two of a million images are mistaken for one once in 40 million sets."""
    return np.ascontiguousarray(digests[:, :8].numpy()).view(np.uint64).reshape(-1)


PROTOCOL_VERSION = 1
"""Raised when the way from images to features changes, so that older parts are not found any more."""

PART = 1024
"""Images of a part."""

DIGESTS = "digests"
"""Column of `digests_of` the images; parts of earlier versions have none."""

_ABANDONED = 3600
"""Seconds after which a file that was never finished belongs to a process that was killed."""

_log = logging.getLogger(__name__)


def embed(
    source: ImageSource,
    extractor: FeatureExtractor,
    folder: str | Path,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureSet:
    """The features of all images of `source`. All processes must call it, with one folder that all of them see.

    Args:
        source: The images.
        extractor: On its device.
        folder: Where sets of features lie.
        batch_size: Images that the extractor sees at a time.
        progress: Called with (images done, N) at the beginning and after every batch; of several processes all are taken to be as far as
            this.
    """
    if batch_size < 1 or len(source) < 1:
        raise ValueError(f"{len(source)} images in batches of {batch_size}: there is nothing to embed")
    parts = _Parts(source, extractor, Path(folder).expanduser())
    mine = range(rank(), parts.count, world_size())
    missing = [i for i in mine if not parts.is_whole(i)]
    begun = {i: parts.begun(i, batch_size) for i in missing}
    before = {i: partial.load() for i, partial in begun.items()}
    share = sum(len(parts.rows(i)) for i in mine)
    done = share - sum(len(parts.rows(i)) - before[i][0] for i in missing)

    def report() -> None:
        if progress is not None:
            progress(done * len(source) // max(share, 1), len(source))

    report()
    if missing:
        _log.info("features of %d images by %s", share - done, extractor.identity.name)
    cut = {
        i: [parts.rows(i)[k : k + batch_size] for k in range(before[i][0], len(parts.rows(i)), batch_size)]
        for i in missing
    }
    images = prefetched(source.images, [rows for batches in cut.values() for rows in batches])
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for i, ranges in cut.items():
            batches = [before[i][1]] if before[i][0] else []
            for rows in ranges:
                batches.append(_columns(next(images), extractor, rows))
                done += len(rows)
                report()
                if begun[i].is_due():
                    begun[i].save(rows.stop - parts.rows(i).start, _together(batches))
            if written is not None:
                written.result()  # one part at a time waits for the disk
            written = writer.submit(parts.write, i, _together(batches), begun[i])
        if written is not None:
            written.result()
    sum_over_processes([torch.zeros(1, device=extractor.device)])  # nobody reads before all have written
    labels = source.labels if isinstance(source, Labelled) else None
    columns = [parts.read(i) for i in range(parts.count)]
    digests = [part.pop(DIGESTS, None) for part in columns]
    known = [one for one in digests if one is not None]
    return FeatureSet(
        extractor.identity, columns, labels, parts.key, torch.cat(known) if len(known) == len(digests) else None
    )


def _together(batches: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def _columns(images: Tensor, extractor: FeatureExtractor, rows: range) -> dict[str, Tensor]:
    try:
        pixels = extractor.admitted(images)
        features = extractor(pixels)
    except ValueError as error:
        raise ValueError(f"images {rows.start} to {rows.stop - 1}: {error}") from error
    columns = {name: value.float().cpu() for name, value in features._asdict().items() if value is not None}
    for name, value in columns.items():
        broken = ~value.isfinite().all(dim=1)
        if broken.any():
            raise ValueError(
                f"{extractor.identity.name} gives NaN or infinity as {name} of image {rows[int(broken.nonzero()[0])]}"
            )
    return columns | {DIGESTS: digests_of(pixels)}


class _Parts:
    """The files of one set of features."""

    def __init__(self, source: ImageSource, extractor: FeatureExtractor, folder: Path):
        fields = {
            "protocol_version": PROTOCOL_VERSION,
            "images": source.fingerprint,
            "count": len(source),
            "extractor": extractor.fingerprint,
        }
        self.key = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]
        self.images, self.columns = len(source), extractor.identity.columns
        self.count = -(-self.images // PART)
        self.folder = folder / f"features-{self.key}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"features cannot be stored in {folder} ({error}): name a folder that can be written"
            ) from error
        for leftover in self.folder.glob(".writing-*"):
            if time.time() - leftover.stat().st_mtime > _ABANDONED:
                leftover.unlink(missing_ok=True)

    def rows(self, i: int) -> range:
        return range(i * PART, min((i + 1) * PART, self.images))

    def path(self, i: int) -> Path:
        return self.folder / f"part-{i:05d}.safetensors"

    def begun(self, i: int, batch_size: int) -> PartialResults:
        """The first rows of part i, in batches of this size."""
        path = self.folder / f"begun-{i:05d}.safetensors"
        return PartialResults(path, {"key": self.key, "part": i, "batch_size": batch_size})

    def is_whole(self, i: int) -> bool:
        """Whether the part is there and undamaged; reads it through."""
        if not self.path(i).exists():
            return False
        try:
            with opened_safetensors(self.path(i)) as file:
                checksum = (file.metadata() or {}).get("sha256")
            columns = self.read(i)
            shapes = {name: tuple(value.shape) for name, value in columns.items() if name != DIGESTS}
            if shapes != {name: (len(self.rows(i)), width) for name, width in self.columns.items()}:
                raise ValueError(f"it holds {shapes}")
            if checksum != self._checksum(i, columns):
                raise ValueError("its checksum is wrong")
        except (ValueError, KeyError, OSError) as error:
            warnings.warn(
                f"the stored features {self.path(i)} are damaged ({error}); they are computed again", stacklevel=3
            )
            return False
        return True

    def read(self, i: int) -> dict[str, Tensor]:
        """The columns, memory-mapped."""
        with opened_safetensors(self.path(i)) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is no mapping)

    def write(self, i: int, columns: dict[str, Tensor], begun: PartialResults) -> None:
        content = save(columns, {"sha256": self._checksum(i, columns)})
        write_bytes(self.path(i), content)
        begun.remove()

    def _checksum(self, i: int, columns: dict[str, Tensor]) -> str:
        """Of the values and of the place to which they belong."""
        digest = hashlib.sha256(f"{self.key} {i}".encode())
        for name in sorted(columns):
            digest.update(f"{name} {list(columns[name].shape)}".encode())
            digest.update(columns[name].numpy().data)  # megabytes, not copied
        return digest.hexdigest()
