"""difflab's metrics in a plain LightningModule: states, synchronisation and logging are torchmetrics', on two processes as on one."""

import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torchmetrics
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader, Dataset

from difflab.data import Digits
from difflab.evaluation.reference import FeatureReference
from difflab.features import DigitsExtractor
from difflab.features.extractor import FeatureSet
from difflab.metrics import Frechet, Inception, Kernel, PeakSignalToNoise, PrecisionRecall

N = 101  # odd, so that two processes have different numbers of images


class Numbered(Dataset):
    """Digits with their numbers."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int):
        return Digits().images([i])[0], i


class Originals:
    """The same digits, a little darker."""

    has_originals = True
    fields = {}  # noqa: RUF012

    def originals(self, index):
        return (Digits().images(index.tolist()).int() - 5).clamp(0, 255).to(torch.uint8)


class Plain(pl.LightningModule):
    """Knows nothing of difflab but its metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.extractor = DigitsExtractor()
        identity = self.extractor.identity
        real = Digits().images(range(500, 900))
        reference = FeatureReference(FeatureSet.of(identity, self.extractor(real)))
        chosen = [Frechet(), Inception(3), Kernel(5, 40), PrecisionRecall()]
        self.of_sets = torch.nn.ModuleList([metric.prepare(identity, N, reference) for metric in chosen])
        self.psnr = PeakSignalToNoise()

    def validation_step(self, batch, batch_idx):
        images, index = batch
        features = self.extractor(images)
        for metric in self.of_sets:
            metric.update(features, index)
        self.psnr.update(images, Originals(), index)
        self.log("psnr", self.psnr)

    def on_validation_epoch_end(self):
        for metric in self.of_sets:
            self.log_dict(metric.compute())
            metric.reset()


def validated(batch_size: int) -> tuple[dict[str, float], Plain]:
    module = Plain()
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    (found,) = trainer.validate(module, DataLoader(Numbered(), batch_size=batch_size), verbose=False)
    return dict(found), module


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    return validated(64)[0]


def test_a_plain_module_logs_them(expected):
    names = {
        "fd_digits",
        "is_digits",
        "is_digits_std",
        "kd_digits",
        "kd_digits_std",
        "precision_digits",
        "recall_digits",
    }
    assert set(expected) == {*names, "psnr"}
    other, module = validated(7)
    assert other == pytest.approx(expected, rel=1e-5)
    assert not any("of_sets" in name or "psnr" in name for name in module.state_dict())  # nothing enters checkpoints


def test_a_class_says_which_way_is_better_and_where_its_number_lies():
    identity = DigitsExtractor().identity
    for metric in (Frechet(), Inception(), Kernel(), PrecisionRecall()):
        assert isinstance(metric, torchmetrics.Metric)
        info = next(iter(metric.info(identity).values()))
        assert info.higher_is_better is metric.higher_is_better
        bounds = tuple(None if abs(bound) == float("inf") else bound for bound in info.bounds)
        assert bounds == (metric.plot_lower_bound, metric.plot_upper_bound)


def test_plot_shows_the_bounds():
    pytest.importorskip("matplotlib")
    metric = PeakSignalToNoise()
    metric.update(Digits().images(range(5)), Originals(), torch.arange(5))
    _, axes = metric.plot()
    _, shares = PrecisionRecall().plot(torch.tensor([0.2, 0.4]))
    low, high = shares.get_ylim()
    assert low <= 0.0 < 1.0 <= high
    assert axes.lines


def _process(rank: int, world: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    module = Plain()
    images = Digits().images(range(rank, N, world))
    for rows in torch.arange(len(images)).split(20):
        features = module.extractor(images[rows])
        for metric in module.of_sets:
            metric.update(features)  # without index: the processes take turns
        module.psnr.update(images[rows], Originals(), rank + world * rows)
    found = {name: value.item() for metric in module.of_sets for name, value in metric.compute().items()}
    torch.save(found | {"psnr": module.psnr.compute().item()}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path, expected):
    spawn(_process, args=(2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first == second
    assert first == pytest.approx(expected, rel=1e-5)


def test_images_that_are_missing_or_come_twice_are_refused():
    extractor = DigitsExtractor()
    metric = Kernel(1, 3).prepare(extractor.identity, 4)
    metric.update(extractor(Digits().images([0, 1, 2])), torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="2 are missing, 1 came more than once, the first is 1"):
        metric.compute()


def test_a_metric_as_it_was_written_before_still_measures():
    from difflab.metrics import Metric, MetricInfo, Needs

    with pytest.warns(UserWarning, match="__call__ is called measure now"):

        class Former(Metric):
            def info(self, identity):
                return {"former": MetricInfo(True)}

            def needs(self):
                return Needs()

            def protocol(self):
                return {}

            def __call__(self, samples, reference):
                return {"former": float(len(samples))}

            def standard_errors(self, samples, reference, replicates):
                return {}

    extractor = DigitsExtractor()
    metric = Former().prepare(extractor.identity, 2)
    metric.update(extractor(Digits().images([0, 1])))
    assert metric.compute()["former"].item() == 2
