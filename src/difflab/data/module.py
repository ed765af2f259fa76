"""The LightningDataModule of image sets."""

from __future__ import annotations

import multiprocessing
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import BaseContext

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from difflab.data.dataset import ImageDataset, LabelledSource
from difflab.data.decoded import seen_in
from difflab.data.errors import DataError, some, warn
from difflab.data.stream import Augmentation, GlobalBatches, TrainingStream, accumulated_batches, images_per_micro_batch
from difflab.data.subset import at_most
from difflab.former_names import Neutral
from difflab.runtime.process import end_with_parent, kill_workers_at_exit
from difflab.runtime.signals import SIGNALS, release, withhold
from difflab.spaces import Pixels, Space
from difflab.types import Batch, ImageSize, sides, size_of


class ImageData(pl.LightningDataModule):
    """An endless stream of training batches, the same on any number of processes and after any restart.

    The Trainer needs `use_distributed_sampler=False` (the stream is split here) and `check_val_every_n_epoch=None` (there is no last
    batch). Where training goes on after a restart follows from the trainer's own counters.

    Args:
        dataset: Where the images come from.
        batch_size: Images per optimizer step, over all processes and accumulated batches.
        image_size: Side of square images, or the length of each axis, as [H, W]: what the network is built for, checked against the
            data set, as are channels and classes.
        channels: Channels of the images.
        num_classes: Number of classes; 0: the model is told no classes, whether the data set has them or not.
        seed: Of the order of images and of the augmentations.
        micro_batch: Images that a process takes at a time; None: its whole share of the batch. The trainer's accumulation has to agree.
        num_workers: Processes that load images, per training process; 0 loads in the training process.
        augmentations: Applied to training images in this order.
        max_images: Images that there are at most, spread evenly over the data set; None: all.

    Attributes:
        space: In which a model of them lives; the module's, once there is one.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        image_size: ImageSize,
        channels: int,
        num_classes: int,
        seed: int = 0,
        micro_batch: int | None = None,
        num_workers: int = 0,
        augmentations: Sequence[Augmentation] = (),
        max_images: Neutral[int | None] = None,
    ):
        super().__init__()
        dataset = at_most(dataset, max_images)
        self.dataset = dataset
        self.batch_size = batch_size
        self.micro_batch = micro_batch
        self.image_size = size_of(sides(image_size))
        self.channels = channels
        self.num_classes = num_classes
        self.num_workers = num_workers
        self.space: Space = Pixels()
        _check_agreement(dataset, self.image_size, channels, num_classes)
        images_per_micro_batch(batch_size, 1, 1)
        self.stream = TrainingStream(dataset, num_classes, seed, augmentations)
        self._loaders: list[TimedLoader] = []
        if self.empty_classes:
            names = [dataset.class_names[number] for number in self.empty_classes[:3]]
            warn(
                f"{len(self.empty_classes):,} of {num_classes:,} classes have no images: the model learns nothing of them, and draws "
                f"them as often as others: {some(names, len(self.empty_classes))}"
            )

    @property
    def empty_classes(self) -> list[int]:
        """The classes that the model is told and of which it sees no image."""
        return self.dataset.empty_classes if self.num_classes else []

    @property
    def fingerprint(self) -> str:
        """A hash of the data set's content: for the caches of what is computed from it."""
        return self.dataset.fingerprint

    @property
    def seen(self) -> LabelledSource:
        """What is looked at and compared with: the data set, or what its latents stand for."""
        return seen_in(self.space, self.dataset)

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """(C, *size) of what is looked at."""
        return tuple(self.seen.images([0]).shape[1:])

    def example(self) -> Batch:
        """The first image as the model is told of it, on the CPU, without augmentations."""
        number = torch.zeros(1, dtype=torch.int64)
        return self.on_after_batch_transfer(
            Batch(self.dataset.images(number), self.stream.condition(number), number), 0
        )

    def seconds_waited(self) -> float:
        """How long training has waited for batches so far."""
        return sum(loader.seconds_waited for loader in self._loaders)

    def setup(self, stage: str) -> None:
        if self.trainer is None:
            return
        world_size, accumulate = self.trainer.world_size, self.trainer.accumulate_grad_batches
        micro = images_per_micro_batch(self.batch_size, world_size, accumulate)
        if self.micro_batch is not None and micro != self.micro_batch:
            expected = accumulated_batches(self.batch_size, world_size, self.micro_batch)
            raise DataError(
                f"data.micro_batch={self.micro_batch} with {world_size} processes means trainer.accumulate_grad_batches={expected}, "
                f"but it is {accumulate}"
            )

    def train_dataloader(self) -> DataLoader[Batch | DataError]:
        loader = TimedLoader(
            _Reported(self.stream),
            sampler=self._batches(),
            batch_size=None,  # an item of the stream is a whole batch
            num_workers=self.num_workers,
            worker_init_fn=_begin_worker,
            multiprocessing_context=_context(self.num_workers),
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.num_workers > 0,
        )
        self._loaders.append(loader)
        if self.num_workers:
            kill_workers_at_exit()
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """One batch of one image: Lightning has no validation, hence no hook for evaluation, without a loader."""
        return DataLoader(self.stream, sampler=[[0]], batch_size=None)

    def transfer_batch_to_device(self, batch: Batch | DataError, device: torch.device, dataloader_idx: int) -> Batch:
        if isinstance(batch, DataError):
            raise batch
        return batch.to(device, non_blocking=device.type == "cuda")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Pixels 0..255 to float32 in [-1, 1], on the device; what is no pixels is already in the model's units."""
        if batch.x0.dtype != torch.uint8:
            return batch
        return Batch(batch.x0.float() / 127.5 - 1, batch.cond, batch.number)

    def _batches(self) -> GlobalBatches:
        trainer = self.trainer
        if trainer is None:
            return GlobalBatches(self.batch_size)
        accumulate = trainer.accumulate_grad_batches
        # Lightning takes an optimizer step after each A-th batch that it has counted, counts restored from a checkpoint included
        done = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # pyright: ignore[reportAttributeAccessIssue]
        return GlobalBatches(
            self.batch_size, trainer.world_size, trainer.global_rank, accumulate, trainer.global_step, done % accumulate
        )


class _Reported(Dataset["Batch | DataError"]):
    """Batches; in the place of one that cannot be read, the error, as an item.

    Raised in a worker, it would come with a traceback in its message; and here, too, it would come while the step before is still to be
    done.
    """

    def __init__(self, stream: TrainingStream):
        self._stream = stream

    def __getitem__(self, numbers: list[int]) -> Batch | DataError:
        try:
            return self._stream[numbers]
        except DataError as error:
            return error


class TimedLoader(DataLoader["Batch | DataError"]):
    """A loader that counts how long it was waited for.

    Attributes:
        seconds_waited: From the moments at which batches were asked for to those at which they were there, together.
    """

    seconds_waited = 0.0

    def __iter__(self) -> Iterator[Batch | DataError]:  # pyright: ignore[reportIncompatibleMethodOverride]
        with _withheld():
            batches = super().__iter__()
        while True:
            began = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.seconds_waited += time.monotonic() - began
            yield batch


def _check_agreement(dataset: ImageDataset, image_size: ImageSize, channels: int, num_classes: int) -> None:
    for name, annotation in dataset.annotations.items():
        if len(annotation) != len(dataset):
            raise DataError(
                f"{type(dataset).__name__}: {len(dataset)} images, and {name} of {len(annotation)}: every image needs one."
            )
    expected = {"image_size": image_size, "channels": channels, "num_classes": num_classes}
    found = {
        "image_size": dataset.image_size,
        "channels": dataset.channels,
        "num_classes": dataset.num_classes if num_classes else 0,
    }
    remedy = " ".join(f"data.{key}={_typed(value)}" for key, value in found.items() if value != expected[key])
    if remedy:
        source = " Classes come from dataset.json, or from the first sub-folders." if "num_classes" in remedy else ""
        raise DataError(
            f"{type(dataset).__name__}: expected {_words(**expected)}, found {_words(**found)}: set {remedy}.{source}"
        )


def _words(image_size: ImageSize, channels: int, num_classes: int) -> str:
    return f"{'x'.join(map(str, (channels, *sides(image_size))))} and {num_classes} classes"


def _typed(value: ImageSize) -> str:
    """As on the command line."""
    return str(value) if isinstance(value, int) else f"[{','.join(map(str, value))}]"


def _context(workers: int) -> BaseContext | None:
    """How workers are started: as Python does it here, also in a process of joblib's, whose own way cannot start them."""
    method = multiprocessing.get_start_method(allow_none=True)
    known = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context(known[0]) if workers and method not in (None, *known) else None


def _begin_worker(worker: int) -> None:
    """SLURM signals every process of a job step, and a terminal every process of a command.

    What to do about it is the training process's decision; a worker that ran its handlers, or died, would spoil it. It ends with that
    process, however that ends. (torch itself limits a worker to one thread.)
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    release()
    end_with_parent()
    if worker > 0:  # the first one says it for all
        warnings.simplefilter("ignore")


@contextmanager
def _withheld() -> Iterator[None]:
    """Processes that are started within the context get no signal before they ignore it."""
    before = withhold()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
