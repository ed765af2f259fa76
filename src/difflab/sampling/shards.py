"""Drawn images on the disk, a file per batch.

Shard k holds the images of the seeds first_seed + [k B, (k + 1) B): safetensors with images uint8 [B, C, H, W] (float32 [B, C] of points),
labels [B] where there are any, and a hash of each image [B, 16]; in its header what images were drawn for, where that can be read, as
captions. It is written whole or not at all, so a shard that is there counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Int, UInt8
from safetensors.torch import save
from torch import Tensor

from difflab.data.dataset import content_of, fingerprint_of, of_class, pixel_digest
from difflab.files import write_bytes
from difflab.reading import FileError, parse_json
from difflab.reading.arrays import opened_safetensors
from difflab.reading.json import dumps
from difflab.types import Condition

_TEXTS = "texts"
"""Name in the header."""


class ShardFolder:
    """Where the shards of a set are.

    Args:
        path: The folder.
        batch_size: B, images per shard.
    """

    def __init__(self, path: str | Path, batch_size: int):
        self.path = Path(path)
        self.batch_size = batch_size

    def write(
        self,
        k: int,
        images: UInt8[Tensor, "b c h w"],
        labels: Int[Tensor, " b"] | None,
        texts: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Writes shard k.

        Args:
            k: Its number.
            images: On the CPU.
            labels: On the CPU; None where there are none.
            texts: Part of the condition -> what it says of each image.
        """
        images = images.contiguous()
        columns = {"images": images, "digests": _digests(images)} | ({} if labels is None else {"labels": labels})
        write_bytes(
            self.file(k),
            save(columns, {_TEXTS: dumps({name: list(one) for name, one in texts.items()})} if texts else None),
        )

    def read(self, k: int, column: str) -> Tensor:
        with opened_safetensors(self.file(k)) as file:
            return file.get_tensor(column)

    def texts(self, k: int) -> dict[str, list[str]]:
        """What the parts of the condition that can be read say of each image of shard k."""
        with opened_safetensors(self.file(k)) as file:
            header = file.metadata() or {}
        return parse_json(header[_TEXTS], f"{self.file(k)}: its header") if _TEXTS in header else {}

    def has_labels(self) -> bool:
        with opened_safetensors(self.file(0)) as file:
            return "labels" in file.keys()  # noqa: SIM118

    def holds(self, k: int, count: int) -> bool:
        """Whether shard k is there with at least `count` images. (That of a set smaller than a batch has fewer than its successor's.)."""
        try:
            with opened_safetensors(self.file(k)) as file:
                return file.get_slice("images").get_shape()[0] >= count
        except FileError:
            return False

    def any(self) -> bool:
        """Whether there is a shard."""
        return next(self.path.glob("*.safetensors"), None) is not None

    def file(self, k: int) -> Path:
        return self.path / f"{k:08d}.safetensors"


class Shards:
    """The first N images of a folder of shards: what metrics, formats and pictures read. Memory is that of a few shards.

    Args:
        folder: The shards.
        num_samples: N.
        first_seed: The seed of image 0.
    """

    def __init__(self, folder: ShardFolder, num_samples: int, first_seed: int = 0):
        self.folder = folder
        self.num_samples = num_samples
        self.first_seed = first_seed
        self._images = lru_cache(maxsize=2)(lambda k: folder.read(k, "images"))

    def __len__(self) -> int:
        return self.num_samples

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of each."""
        return tuple(self._images(0).shape[1:])

    @property
    def holds_pixels(self) -> bool:
        """Whether they are bytes; else float32."""
        return self._images(0).dtype == torch.uint8

    @property
    def labels(self) -> Int[Tensor, " n"] | None:
        return self._labels

    @property
    def fingerprint(self) -> str:
        """A hash of pixels and labels: the same in whatever batches they were drawn, and for an npz, a folder or a zip of them."""
        return self._fingerprint

    @cached_property
    def _labels(self) -> Int[Tensor, " n"] | None:
        return self._column("labels") if self.folder.has_labels() else None

    @cached_property
    def _fingerprint(self) -> str:
        digests = (row.numpy().tobytes() for row in self._column("digests"))
        return fingerprint_of(self.shape, self._labels, content_of(digests))

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> UInt8[Tensor, "b c h w"]:
        places = (divmod(int(i), self.folder.batch_size) for i in indices)
        return torch.stack([self._images(k)[position] for k, position in places])

    def condition(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Condition:
        return of_class(self.labels, torch.as_tensor(indices))

    def texts(self) -> dict[str, list[str]]:
        """Part of the condition -> what it says of each image, of those parts that can be read."""
        found: dict[str, list[str]] = {}
        for k, count in self._counts():
            for name, lines in self.folder.texts(k).items():
                found.setdefault(name, []).extend(lines[:count])
        return found

    def where(self, index: int) -> str:
        """What an error calls an image."""
        return f"{self.folder.path}: the image of seed {self.first_seed + index}"

    def batches(self) -> Iterator[tuple[int, UInt8[Tensor, "b c h w"]]]:
        """(number of the first image, images), shard by shard."""
        for k, count in self._counts():
            yield k * self.folder.batch_size, self._images(k)[:count]

    def _column(self, name: str) -> Tensor:
        return torch.cat([self.folder.read(k, name)[:count] for k, count in self._counts()])

    def _counts(self) -> Iterator[tuple[int, int]]:
        """(k, how many of its images belong to the set)."""
        size = self.folder.batch_size
        for k in range(-(-self.num_samples // size)):
            yield k, min(size, self.num_samples - k * size)


def _digests(images: Tensor) -> Tensor:
    """[B, 16] uint8."""
    hashes = b"".join(pixel_digest(image.movedim(0, -1).numpy()) for image in images)
    return torch.frombuffer(bytearray(hashes), dtype=torch.uint8).reshape(-1, 16)
