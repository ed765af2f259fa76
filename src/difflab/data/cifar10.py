"""CIFAR-10 from its canonical source."""

from pathlib import Path

import torch

from difflab.data.arrays import InMemoryImages
from difflab.data.download import fetch

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(InMemoryImages):
    """50,000 (train) or 10,000 (test) photographs, 32x32, 10 classes (Krizhevsky 2009).

    root   where torchvision keeps `cifar-10-batches-py`; downloaded if absent
    split  train, test
    """

    def __init__(self, root: str | Path, split: str = "train"):
        from torchvision.datasets import CIFAR10

        remedy = "Copy cifar-10-batches-py there by hand, or use data=cifar10_packaged."
        source = fetch(CIFAR10, root, split, remedy)
        pixels = torch.from_numpy(source.data).permute(0, 3, 1, 2)
        super().__init__(pixels, torch.tensor(source.targets), CLASS_NAMES, str(root))
