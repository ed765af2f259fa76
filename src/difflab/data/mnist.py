"""MNIST from its canonical source."""

from pathlib import Path

from difflab.data.arrays import InMemoryImages
from difflab.data.download import fetch
from difflab.data.idx import read_split


class Mnist(InMemoryImages):
    """60,000 (train) or 10,000 (test) handwritten digits, 28x28, grey (LeCun, Cortes and Burges 1998).

    root   where torchvision keeps MNIST/raw; downloaded if absent
    pad    black pixels added on each side: 2 makes 28x28 into 32x32
    split  train, test
    """

    def __init__(self, root: str | Path, pad: int = 0, split: str = "train"):
        from torchvision.datasets import MNIST

        source = fetch(MNIST, root, split, "Put the IDX files into a folder and use data=mnist_packaged.")
        pixels, labels = read_split(Path(source.raw_folder), split, pad)
        super().__init__(pixels, labels, [str(n) for n in range(10)], source.raw_folder)
