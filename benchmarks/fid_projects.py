"""FID by difflab and by other projects, behind one interface: images to mean and covariance, two of these to a distance.

All networks are the InceptionV3 of 2015 with the same weights. They are read from a file, whichever way a project has for it; nothing is
downloaded. The projects differ in how images come in and how they are resized to 299 x 299:

    difflab          from memory, TensorFlow's resize; features are stored as `difflab evaluate` stores them
    torch-fidelity   from memory, TensorFlow's resize
    torchmetrics     from memory, TensorFlow's resize (antialias=False)
    pytorch-fid      from files, torch's bilinear
    clean-fid        from files, Pillow's bicubic, image by image. Its distance is pytorch-fid's
"""

from __future__ import annotations

import importlib
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from difflab.data import ArrayImages
from difflab.features import InceptionExtractor
from difflab.features.embed import embed
from difflab.metrics import Gaussian, frechet_distance
from difflab.metrics.gaussian import gaussian_of


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
        images: [N, 3, H, W] uint8, on the CPU.
        folder: Has room for files.
        weights: File of torch-fidelity's state.
        batch: Images that a network sees at a time.
        device: Of the network.
    """

    images: Tensor
    folder: Path
    weights: Path
    batch: int
    device: torch.device

    def files(self) -> list[Path]:
        """The images as PNG."""
        folder = self.folder / "png"
        if not folder.exists():
            folder.mkdir(parents=True)
            for number, image in enumerate(self.images):
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:06}.png")
        return sorted(folder.iterdir())


class Project(ABC):
    """One project's way to a FID.

    Attributes:
        modules: That must be installed.
    """

    modules: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, task: Task): ...

    @abstractmethod
    def gaussian(self) -> Gaussian:
        """Mean and covariance of the features of all images."""

    @staticmethod
    @abstractmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        """FID."""


class Difflab(Project):
    """difflab, from images in memory."""

    def __init__(self, task: Task):
        self.extractor = InceptionExtractor(task.weights).to(task.device)
        self._images, self._folder, self._batch = ArrayImages(task.images), task.folder / "features", task.batch

    def gaussian(self) -> Gaussian:
        shutil.rmtree(self._folder, ignore_errors=True)  # what is stored is not computed again
        return gaussian_of(embed(self._images, self.extractor, self._folder, self._batch))

    @staticmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        return frechet_distance(a, b).distance


class TorchFidelity(Project):
    """torch-fidelity."""

    modules = ("torch_fidelity",)

    def __init__(self, task: Task):
        from torch_fidelity.utils import create_feature_extractor

        self._task, self._images = task, _Rows(task.images)
        self._network = create_feature_extractor(
            "inception-v3-compat",
            ["2048"],
            cuda=task.device.type == "cuda",
            verbose=False,
            feature_extractor_weights_path=str(task.weights),
        )

    def gaussian(self) -> Gaussian:
        from torch_fidelity.metric_fid import fid_features_to_statistics
        from torch_fidelity.utils import get_featuresdict_from_dataset

        cuda = self._task.device.type == "cuda"
        # save_cpu_ram: no worker processes, which rows of a tensor do not need
        features = get_featuresdict_from_dataset(self._images, self._network, self._task.batch, cuda, True, False)
        found = fid_features_to_statistics(features["2048"])
        return _gaussian(found["mu"], found["sigma"], len(self._images))

    @staticmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        one, other = (dict(zip(("mu", "sigma"), _arrays(g), strict=True)) for g in (a, b))
        return fid_statistics_to_metric(one, other, False)["frechet_inception_distance"]


class Torchmetrics(Project):
    """torchmetrics, with torch-fidelity's network."""

    modules = ("torchmetrics", "torch_fidelity")

    def __init__(self, task: Task):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self._task = task
        self._metric = FrechetInceptionDistance(feature_extractor_weights_path=str(task.weights), antialias=False)
        self._metric.to(task.device)

    def gaussian(self) -> Gaussian:
        metric = self._metric
        metric.reset()
        for images in self._task.images.split(self._task.batch):
            metric.update(images.to(self._task.device), real=False)
        total, outer, count = (getattr(metric, f"fake_features_{name}") for name in ("sum", "cov_sum", "num_samples"))
        mean = total / count
        return Gaussian(mean, (outer - count * torch.outer(mean, mean)) / (count - 1), int(count))

    @staticmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        compute = importlib.import_module("torchmetrics.image.fid")._compute_fid
        return compute(a.mean, a.covariance, b.mean, b.covariance).item()


class PytorchFid(Project):
    """pytorch-fid."""

    modules = ("pytorch_fid",)

    def __init__(self, task: Task):
        from pytorch_fid.inception import InceptionV3

        self._task, self._files = task, task.files()
        with _weights_of("pytorch_fid.inception", task.weights):
            self._network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).to(task.device)

    def gaussian(self) -> Gaussian:
        from pytorch_fid import fid_score

        with patch.object(fid_score, "tqdm", _silent):
            mean, covariance = fid_score.calculate_activation_statistics(
                self._files, self._network, self._task.batch, 2048, str(self._task.device), num_workers=0
            )
        return _gaussian(mean, covariance, len(self._files))

    @staticmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        from pytorch_fid.fid_score import calculate_frechet_distance

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy takes leave of an argument
            return float(calculate_frechet_distance(*_arrays(a), *_arrays(b)))


class CleanFid(Project):
    """clean-fid."""

    modules = ("cleanfid",)

    def __init__(self, task: Task):
        from cleanfid.features import feature_extractor

        self._task, self._files = task, [str(file) for file in task.files()]
        with _weights_of("cleanfid.inception_pytorch", task.weights), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchvision's older arguments
            # its own choice, a TorchScript of the same network, cannot be given weights
            self._network = feature_extractor("pytorch_inception", task.device, use_dataparallel=False)

    def gaussian(self) -> Gaussian:
        import numpy as np
        from cleanfid.fid import get_files_features

        features = get_files_features(
            self._files, self._network, num_workers=0, batch_size=self._task.batch, device=self._task.device, verbose=False
        )  # fmt: skip
        return _gaussian(np.mean(features, axis=0), np.cov(features, rowvar=False), len(self._files))

    @staticmethod
    def distance(a: Gaussian, b: Gaussian) -> float:
        from cleanfid.fid import frechet_distance

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(frechet_distance(*_arrays(a), *_arrays(b)))


PROJECTS: dict[str, type[Project]] = {
    "difflab": Difflab,
    "torch-fidelity": TorchFidelity,
    "torchmetrics": Torchmetrics,
    "pytorch-fid": PytorchFid,
    "clean-fid": CleanFid,
}


def random_weights(path: Path) -> None:
    """A file of the layout of the published weights, with random numbers that let signals through."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network

    empty = _weights_of("torch_fidelity.feature_extractor_inceptionv3", None)
    with empty, torch.device("meta"), patch.object(Network, "load_state_dict"):
        network = Network("inception", ["2048"])
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.normal_(std=(2 / module.weight[0].numel()) ** 0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            module.bias.normal_(std=0.1, generator=generator)
    network.fc.bias.zero_()
    torch.save(network.state_dict(), path)


class _Rows(Dataset[Tensor]):
    """Images, one by one."""

    def __init__(self, images: Tensor):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return self._images[index]


@contextmanager
def _weights_of(module: str, path: Path | None) -> Iterator[None]:
    """A project that fetches its weights gets those of the file."""
    read = dict if path is None else partial(torch.load, path, "cpu", weights_only=True)
    with patch.object(importlib.import_module(module), "load_state_dict_from_url", lambda *args, **kwargs: read()):
        yield


def _silent(batches: Any) -> Any:
    """In place of a progress bar."""
    return batches


def _arrays(gaussian: Gaussian) -> tuple[Any, Any]:
    return gaussian.mean.cpu().numpy(), gaussian.covariance.cpu().numpy()


def _gaussian(mean: Any, covariance: Any, count: int) -> Gaussian:
    return Gaussian(torch.as_tensor(mean).double(), torch.as_tensor(covariance).double(), count)
