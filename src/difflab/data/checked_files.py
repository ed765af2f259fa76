"""Files of a data set as they were when it was opened."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from difflab.data.errors import DataError, some
from difflab.data.file_store import FileStore, checked_content
from difflab.data.image_file import REPLACE, SCALED, ImageFileError, Picture, Trait, examined
from difflab.data.shard_index import digest_of, hash_of
from difflab.reading import parse_json
from difflab.reading.json import dumps

LIMIT = "DIFFLAB_DECODED_IMAGES"
"""Environment variable: of how many images of a set, evenly spread, the pixels are decoded; of the others the header is looked at.
Where it is not set, all are decoded."""

_AT_ONCE = 1024
"""Files that are given to the threads at a time."""

_SHOWN = 3
"""Files that a message names."""

_REPLACE_ALL = "Replace them, or remove them and their labels."

_FIRST_WORD, _NEXT_WORD = 5.0, 30.0
"""Seconds until a long look says how far it is."""

TraitCounts = dict[str, tuple[int, list[int]]]
"""Name of a `Trait` -> [how many images have it, the numbers of the first]."""

T = TypeVar("T")


@dataclass(frozen=True)
class Findings:
    """What was found in the image files of a set.

    Attributes:
        content: `hash_of` names and bytes.
        bytes: Of all files.
        decoded: How many of them were decoded to the last pixel.
        kinds: [width, height, mode, format, count], the most frequent first.
        traits: What the pixels do not show.
        twins: [i, j] for each image j that is, byte for byte, an earlier image i.
    """

    content: str
    bytes: int
    decoded: int
    kinds: list[tuple[int, int, str, str, int]]
    traits: TraitCounts
    twins: list[tuple[int, int]]

    @property
    def scaled(self) -> list[str]:
        """How pixels of some of the files were brought to 8 bits; with it their fingerprint changes."""
        return [trait.value for trait in SCALED if trait.name in self.traits]

    def remarks(self, where: Callable[[int], str], labels: Tensor | None, image_size: int | None) -> list[str]:
        """What a person should know of the set, a sentence each.

        Args:
            where: What image i is called.
            labels: [N] classes, or None.
            image_size: Side to which the images are brought; None for as they are.
        """
        count = sum(number for *_, number in self.kinds)
        said = trait_remarks(self.traits, where, count)
        sides = [(min(width, height), number) for width, height, _, _, number in self.kinds]
        small = [(side, number) for side, number in sides if image_size is not None and side < image_size]
        if small:
            said.append(
                f"{sum(number for _, number in small):,} of {count:,} images are smaller than image_size={image_size} and are "
                f"enlarged; the shortest side has {min(small)[0]} pixels"
            )
        classes = None if labels is None else labels.tolist()
        apart = [(i, j) for i, j in self.twins if classes is not None and classes[i] != classes[j]]
        if apart:
            pairs = [f"{where(i)} = {where(j)}" for i, j in apart[:_SHOWN]]
            said.append(f"{len(apart):,} images lie in a second class, too: {some(pairs, len(apart))}")
        return said


def trait_remarks(traits: TraitCounts, where: Callable[[int], str], count: int) -> list[str]:
    """A sentence on each trait, `where(i)` being what image i of `count` is called."""
    return [
        f"{having:,} of {count:,} images {Trait[name].value}: {some([where(i) for i in first], having)}"
        for name, (having, first) in traits.items()
    ]


def count_traits(counts: TraitCounts, number: int, traits: frozenset[Trait]) -> None:
    """Adds the traits of image `number`."""
    for name in sorted(trait.name for trait in traits):
        count, first = counts.get(name, (0, []))
        counts[name] = (count + 1, first if count >= _SHOWN else [*first, number])


def checked_files(files: FileStore, names: Sequence[str]) -> Findings:
    """Looks at every file, or remembers what was found where nothing has changed since.

    Raises:
        DataError: It names the first files that cannot be used, and says how many there are.
    """
    decoded = _decoded(len(names))

    def look() -> str:
        return dumps(dataclasses.asdict(_look(files, names, decoded)))

    stamps = [files.stamp(names)]
    if stamps[0] is None:
        return Findings(**parse_json(look(), files.name))

    def stamp() -> str:
        known = (
            stamps.pop() if stamps else files.stamp(names)
        )  # asking a million files twice before the look takes long
        return repr(("decoded files", decoded, known, list(names)))

    return Findings(**parse_json(checked_content(files.where(names[0]), stamp, look), files.name))


def each_file(count: int, examine: Callable[[int], T], name: str) -> Iterator[T]:
    """examine(0), examine(1), ... from several threads, with a word on how far it is where that takes long.

    Args:
        count: Of files.
        examine: What is done to each. An `ImageFileError` is kept until all were looked at.
        name: What the set is called.

    Raises:
        DataError: It names the first files that cannot be used, and says how many there are.
    """
    broken: list[ImageFileError] = []
    progress = _Progress(count, name)

    def attempt(number: int) -> T | ImageFileError:
        try:
            return examine(number)
        except ImageFileError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for first in range(0, count, _AT_ONCE):
            last = min(first + _AT_ONCE, count)
            for done in pool.map(attempt, range(first, last)):
                if isinstance(done, ImageFileError):
                    broken.append(done)
                else:
                    yield done
            progress.tell(last)
    if len(broken) == 1:
        raise broken[0]
    if broken:
        problems = some([one.problem for one in broken[:_SHOWN]], len(broken), "; ")
        remedies = {one.remedy for one in broken}
        remedy = remedies.pop() if len(remedies) == 1 and REPLACE not in remedies else _REPLACE_ALL
        raise DataError(f"{len(broken):,} of {count:,} images cannot be used: {problems}. {remedy}")


def _decoded(count: int) -> int:
    """How many of so many images are decoded."""
    limit = os.environ.get(LIMIT, "")
    if not limit:
        return count
    if not limit.isdecimal():
        raise DataError(f"{LIMIT}={limit}: expected how many images are decoded, as 20000; without it all are.")
    return min(int(limit), count)


class _Looked(NamedTuple):
    """One file that was looked at."""

    digest: bytes
    size: int
    picture: Picture


def _look(files: FileStore, names: Sequence[str], decoded: int) -> Findings:
    to_decode = set(np.linspace(0, len(names) - 1, decoded).round().astype(int).tolist())

    def one(number: int) -> _Looked:
        content = files.read(names[number])
        picture = examined(content, lambda: files.where(names[number]), number in to_decode)
        return _Looked(digest_of(content), len(content), picture._replace(image=None))

    size, digests, kinds = 0, [], Counter[tuple[int, int, str, str]]()
    traits: TraitCounts = {}
    for number, looked in enumerate(each_file(len(names), one, files.name)):
        size += looked.size
        digests.append(looked.digest)
        kinds[looked.picture.kind] += 1
        count_traits(traits, number, looked.picture.traits)
    first: dict[bytes, int] = {}
    return Findings(
        content=hash_of(names, digests),
        bytes=size,
        decoded=decoded,
        kinds=[(*kind, count) for kind, count in kinds.most_common()],
        traits=traits,
        twins=[(first[digest], j) for j, digest in enumerate(digests) if first.setdefault(digest, j) != j],
    )


class _Progress:
    """Says on the standard error how far a long look is."""

    def __init__(self, count: int, name: str):
        self._count, self._name = count, name
        self._began = time.monotonic()
        self._next = self._began + _FIRST_WORD

    def tell(self, done: int) -> None:
        now = time.monotonic()
        if now < self._next or done == self._count:
            return
        self._next = now + _NEXT_WORD
        rate = done / (now - self._began)
        print(
            f"{self._name}: each of {self._count:,} images is decoded once, {done:,} are, {rate:.0f} images/s, "
            f"{(self._count - done) / rate / 60:.0f} minutes left ({LIMIT}=20000 decodes so many and looks at the headers of the rest)",
            file=sys.stderr,
            flush=True,
        )
