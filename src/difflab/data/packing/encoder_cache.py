"""What a frozen encoder makes of a data set, computed once and kept under the hash of both."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.file_store import cache_directory
from difflab.data.packing.formats import WebDataset
from difflab.data.packing.pack import Report, pack
from difflab.data.packing.preparation import Content, PackSource
from difflab.data.shards import ShardedLatents


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

    encode    uint8 images [n, C, H, W] -> latents [n, c, h, h]
    encoder   its name and a hash of its weights: latents of another encoder are others
    folder    where they are kept; None: the cache
    """
    key = hashlib.blake2b(repr((dataset.fingerprint, encoder)).encode(), digest_size=16).hexdigest()
    place = Path(folder) / key if folder is not None else cache_directory("latents") / key
    pack(_EncodedSource(dataset, encode, encoder, batch_size), place, WebDataset(), report=report)
    return ShardedLatents(place)
