"""Fashion-MNIST from its canonical source."""

from pathlib import Path

from difflab.data.arrays import InMemoryImages
from difflab.data.download import fetch
from difflab.data.idx import read_split

CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class FashionMnist(InMemoryImages):
    """60,000 (train) or 10,000 (test) pieces of clothing, 28x28, grey (Xiao, Rasul and Vollgraf 2017; MIT).

    root   where torchvision keeps FashionMNIST/raw; downloaded if absent
    pad    black pixels added on each side: 2 makes 28x28 into 32x32
    split  train, test
    """

    def __init__(self, root: str | Path, pad: int = 0, split: str = "train"):
        from torchvision.datasets import FashionMNIST

        source = fetch(
            FashionMNIST, root, split, "Put the IDX files into a folder and use data=fashion_mnist_packaged."
        )
        pixels, labels = read_split(Path(source.raw_folder), split, pad)
        super().__init__(pixels, labels, CLASS_NAMES, source.raw_folder)
