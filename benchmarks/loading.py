"""Images/s from files, shards and memory to batches, beside torchvision's data sets in torch's DataLoader.

    files    64x64 PNG or JPEG to batches of bytes: difflab's folder and tar shards, torchvision's ImageFolder with Resize and CenterCrop
    memory   32x32 to normalised floats of which half are mirrored: difflab's arrays, and torchvision's way of CIFAR-10, which is PIL,
             RandomHorizontalFlip, ToTensor, Normalize

The first epoch begins with a new loader and so with the start of its workers; in the second they are there. Opening a data set is no
part of either. Files lie in the system's memory after the first turn: what is measured is the processor's time, not the disk's.
"""

from __future__ import annotations

import itertools
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import datasets, transforms

from benchmarks.contest import take_turns
from benchmarks.record import Goal, Measurement
from benchmarks.settings import Settings
from difflab.data import ArrayImages, Augmentation, HorizontalFlip, ImageData, ImageDataset, ImageFolder, ShardedImages

TORCHVISION = "torchvision"
CLASSES = 10
FORMATS = {".png": "PNG", ".jpg": "JPEG"}
GOAL = 1.0

Epochs = Callable[[], Iterator[Iterable[Tensor]]]
"""Makes a loader and gives epoch after epoch of images [B, C, H, W]."""


def measure(settings: Settings) -> Iterator[Measurement]:
    with patch.dict(os.environ, DIFFLAB_CACHE=str(settings.scratch / "cache")):
        for workers in (0, 2):
            for extension, name in FORMATS.items():
                count, batch = (32, 8) if settings.quick else (1024, 64)
                contenders = of_files(settings.scratch / name, extension, count, batch, workers)
                yield from _both_epochs(
                    settings, contenders, count, f"64x64 {name}, batch {batch}, {_workers(workers)}"
                )
            count, batch = (64, 8) if settings.quick else (8192, 128)
            contenders = in_memory(count, batch, workers)
            yield from _both_epochs(settings, contenders, count, f"32x32 in memory, batch {batch}, {_workers(workers)}")


def of_files(folder: Path, extension: str, count: int, batch: int, workers: int) -> dict[str, Epochs]:
    """Contenders that read the same files. All give bytes."""
    if not folder.exists():
        _write_files(folder, extension, count)
    prepare = transforms.Compose([transforms.Resize(64), transforms.CenterCrop(64), transforms.PILToTensor()])
    return {
        "difflab": partial(_difflab, ImageFolder(folder / "files", 64), batch, workers, ()),
        "difflab, shards": partial(_difflab, ShardedImages(folder / "shards", 64), batch, workers, ()),
        TORCHVISION: partial(_torchvision, datasets.ImageFolder(str(folder / "files"), prepare), batch, workers),
    }


def in_memory(count: int, batch: int, workers: int) -> dict[str, Epochs]:
    """Contenders that hold the same images. All give floats in [-1, 1] of images of which half are mirrored."""
    pixels, labels = random_images(count, 32), torch.arange(count) % CLASSES
    normalise = transforms.Normalize((0.5,) * 3, (0.5,) * 3)
    prepare = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalise])
    theirs = _AsCifar10(pixels.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist(), prepare)
    return {
        "difflab": partial(_difflab, ArrayImages(pixels, labels), batch, workers, (HorizontalFlip(),)),
        TORCHVISION: partial(_torchvision, theirs, batch, workers),
    }


def random_images(count: int, size: int) -> Tensor:
    """[N, 3, size, size] uint8, smooth."""
    low = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    return F.interpolate(low, (size, size), mode="bicubic").clamp(0, 255).round().to(torch.uint8)


def _difflab(
    dataset: ImageDataset, batch: int, workers: int, augmentations: tuple[Augmentation, ...]
) -> Iterator[Iterable[Tensor]]:
    data = ImageData(
        dataset,
        batch,
        dataset.image_size,
        dataset.channels,
        dataset.num_classes,
        num_workers=workers,
        augmentations=augmentations,
    )
    stream = iter(data.train_dataloader())  # endless

    def images() -> Iterator[Tensor]:
        for item in itertools.islice(stream, len(dataset) // batch):
            # where torchvision's batches are floats, so are these: as the training loop makes them
            yield data.on_after_batch_transfer(item, 0).x0 if augmentations else item.x0

    while True:
        yield images()


def _torchvision(dataset: TorchDataset[Any], batch: int, workers: int) -> Iterator[Iterable[Tensor]]:
    loader = DataLoader(dataset, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield (images for images, _ in loader)


class _AsCifar10(TorchDataset[tuple[Any, int]]):
    """Images as torchvision.datasets.CIFAR10 gives them: PIL, then the transform."""

    def __init__(self, data: np.ndarray, targets: list[int], transform: Callable[[Image.Image], Any]):
        self._data, self._targets, self._transform = data, targets, transform

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._transform(Image.fromarray(self._data[index])), self._targets[index]


class _Turn:
    """Two epochs: the first one's images/s are the turn's value, the second one's are kept."""

    def __init__(self, epochs: Epochs, count: int):
        self._epochs, self._count = epochs, count
        self.second: list[float] = []

    def __call__(self) -> float:
        began = time.perf_counter()
        epochs = self._epochs()
        first = self._rate(next(epochs), began)
        self.second.append(self._rate(next(epochs), time.perf_counter()))
        return first

    def _rate(self, epoch: Iterable[Tensor], began: float) -> float:
        seen = sum(len(images) for images in epoch)
        if seen != self._count:
            raise RuntimeError(f"an epoch of {self._count} images had {seen}")
        return seen / (time.perf_counter() - began)


def _both_epochs(settings: Settings, contenders: dict[str, Epochs], count: int, case: str) -> Iterator[Measurement]:
    turns = {name: _Turn(epochs, count) for name, epochs in contenders.items()}
    first = take_turns(turns, settings.rounds)
    second = {name: turn.second[-settings.rounds :] for name, turn in turns.items()}  # without the warm-up
    for epoch, values in (("first", first), ("second", second)):
        yield Measurement(
            bench="loading",
            case=f"{case}, {epoch} epoch",
            unit="images/s",
            more_is_better=True,
            values=values,
            baseline=TORCHVISION,
            goals=tuple(Goal(name, TORCHVISION, GOAL) for name in values if name != TORCHVISION),
        )


def _workers(workers: int) -> str:
    return f"{workers} workers" if workers else "no workers"


def _write_files(folder: Path, extension: str, count: int) -> None:
    """files/CLASS/NUMBER.EXTENSION, and the same files in shards/*.tar."""
    (folder / "shards").mkdir(parents=True)
    with tarfile.open(folder / "shards" / "000000.tar", "w") as shard:
        for number, image in enumerate(random_images(count, 64)):
            path = folder / "files" / f"class{number % CLASSES}" / f"{number:06}{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, quality=90)
            shard.add(path, path.name)
            label = str(number % CLASSES).encode()
            entry = tarfile.TarInfo(f"{number:06}.cls")
            entry.size = len(label)
            shard.addfile(entry, BytesIO(label))
