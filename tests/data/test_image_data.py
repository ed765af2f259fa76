"""The data module inside a real Trainer."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import get_worker_info

from difflab.data import ArrayImages, Augmentation, DataError, GaussianMixture, HorizontalFlip, ImageData, MixtureImages
from difflab.noise import ImageNoise
from difflab.types import Batch, Label

PIXELS = (ImageNoise(0, torch.arange(23)).uniform("pixels", (1, 4, 4)) * 256).to(torch.uint8)
IMAGES = ArrayImages(PIXELS, torch.arange(23) % 3)


def image_data(batch_size: int = 8, **settings) -> ImageData:
    return ImageData(IMAGES, batch_size, 4, 1, 3, seed=2, augmentations=[HorizontalFlip()], **settings)


class Recorder(pl.LightningModule):
    """Learns the mean image and writes down which images it saw."""

    def __init__(self, folder: Path):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.zeros(1, 4, 4))
        self.numbers: list[list[int]] = []
        self.folder = folder

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        assert batch.x0.dtype == torch.float32
        self.numbers.append(batch.number.tolist())
        return (batch.x0 - self.mean).square().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert batch.x0.shape == (1, 1, 4, 4)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.1)

    def on_train_end(self) -> None:
        torch.save((self.numbers, self.mean.detach()), self.folder / f"rank{self.global_rank}.pt")


class SaveAfter(pl.Callback):
    """A checkpoint after a number of micro-batches, then stop as if killed."""

    def __init__(self, batches: int, path: Path):
        self.batches = batches
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx + 1 == self.batches:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def fit(
    folder: Path, steps: int, data: ImageData | None = None, checkpoint: Path | None = None, **settings
) -> Recorder:
    folder.mkdir(exist_ok=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        use_distributed_sampler=False,
        check_val_every_n_epoch=None,
        val_check_interval=4,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )
    recorder = Recorder(folder)
    trainer.fit(recorder, data or image_data(), ckpt_path=checkpoint)
    return recorder


@pytest.mark.parametrize("batches", [4, 6, 7])
def test_a_restarted_fit_continues_with_the_right_images(tmp_path, batches):
    """Two micro-batches per step, 23 images: the restarts lie within an epoch, 7 also within a step."""
    whole = fit(tmp_path, 9, accumulate_grad_batches=2)
    assert whole.numbers == [list(range(start, start + 4)) for start in range(0, 72, 4)]
    stop = SaveAfter(batches, tmp_path / "stop.ckpt")
    with pytest.raises(SystemExit):
        fit(tmp_path, 9, accumulate_grad_batches=2, callbacks=[stop])
    resumed = fit(tmp_path, 9, checkpoint=stop.path, accumulate_grad_batches=2)
    assert resumed.numbers == whole.numbers[batches:]
    if batches % 2 == 0:  # the gradient of half a step is not in Lightning's checkpoints
        assert torch.equal(resumed.mean, whole.mean)


def test_a_restart_may_accumulate_more(tmp_path):
    stop = SaveAfter(4, tmp_path / "stop.ckpt")
    with pytest.raises(SystemExit):
        fit(tmp_path, 9, callbacks=[stop])
    resumed = fit(tmp_path, 9, checkpoint=stop.path, accumulate_grad_batches=2)
    assert resumed.numbers == [list(range(start, start + 4)) for start in range(4 * 8, 9 * 8, 4)]
    torch.testing.assert_close(resumed.mean, fit(tmp_path, 9).mean, rtol=0, atol=1e-6)


def test_two_processes_see_what_one_would(tmp_path):
    one = fit(tmp_path / "one", 5)
    fit(tmp_path / "two", 5, strategy="ddp_fork", devices=2)
    ranks = [torch.load(tmp_path / "two" / f"rank{rank}.pt") for rank in range(2)]
    together = [first + second for first, second in zip(ranks[0][0], ranks[1][0], strict=True)]
    assert together == one.numbers
    torch.testing.assert_close(ranks[0][1], one.mean.detach(), rtol=0, atol=1e-6)


def test_workers_change_nothing():
    plain, working = iter(image_data().train_dataloader()), iter(image_data(num_workers=2).train_dataloader())
    for first, second in itertools.islice(zip(plain, working, strict=True), 7):
        assert torch.equal(first.x0, second.x0)
        assert torch.equal(first.number, second.number)
        assert torch.equal(Label.of(first.cond).number, Label.of(second.cond).number)


class Report(Augmentation):
    """Writes the worker's reaction to signals into the images."""

    def __call__(self, images, noise):
        assert get_worker_info() is not None
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        return torch.full_like(images, torch.get_num_threads())


def test_workers_survive_the_signals_of_slurm_and_of_a_terminal():
    data = ImageData(IMAGES, 8, 4, 1, 3, num_workers=1, augmentations=[Report()])
    assert (next(iter(data.train_dataloader())).x0 == 1).all()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_pixels_become_numbers_from_minus_one_to_one():
    dataset = ArrayImages(torch.tensor([0, 255, 51], dtype=torch.uint8).expand(1, 1, 3, 3).contiguous())
    data = ImageData(dataset, 1, 3, 1, 0)
    x_0 = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0).x0
    assert x_0.dtype == torch.float32
    torch.testing.assert_close(x_0[0, 0, 0], torch.tensor([-1.0, 1.0, -0.6]))


def test_draws_of_a_mixture_are_left_alone():
    images = MixtureImages(GaussianMixture.random(2, (1, 4, 4), 0.5, 0.2, 0), 50)
    data = ImageData(images, 10, 4, 1, 2)
    batch = next(iter(data.train_dataloader()))
    x_0 = data.on_after_batch_transfer(batch, 0).x0
    assert torch.equal(x_0, images.images(data.stream.indices(torch.arange(10))))


def test_no_classes_means_none_are_told():
    assert Label.of(next(iter(ImageData(IMAGES, 8, 4, 1, 0).train_dataloader())).cond) is None


def test_what_the_network_is_built_for_is_checked_against_the_images():
    message = "expected 3x8x8 and 10 classes, found 1x4x4 and 3 classes: set data.image_size=4 data.channels=1 data.num_classes=3"
    with pytest.raises(DataError, match=message):
        ImageData(IMAGES, 8, 8, 3, 10)
    with pytest.raises(DataError, match=r"found 1x4x4 and 0 classes: set data.num_classes=0\."):
        ImageData(ArrayImages(PIXELS), 8, 4, 1, 3)


def test_a_batch_that_cannot_be_shared_out_is_refused_before_training(tmp_path):
    with pytest.raises(DataError, match=r"data.batch_size=8 .* 1 x 3 = 3"):
        fit(tmp_path, 1, accumulate_grad_batches=3)
    with pytest.raises(DataError, match=r"data\.batch_size=0"):
        image_data(0)
