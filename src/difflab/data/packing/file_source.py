"""Files of a store, to be packed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from difflab.data.checked_files import Findings, checked_files
from difflab.data.errors import DataError, warn
from difflab.data.file_store import FileStore
from difflab.data.packing.preparation import Preparation
from difflab.data.packing.source import Content, PackSource

_AHEAD = 64
"""Files that are read and prepared while others are written."""


class FileSource(PackSource):
    """files        where they lie
    keys         their names there
    names        by which the packed set knows them
    preparation  what is done to each
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
