"""The IDX format in which MNIST and its successors come."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_edges

from difflab.data.arrays import InMemoryImages
from difflab.data.download import is_training_split
from difflab.data.errors import DataError


def read_idx(path: Path) -> Tensor:
    """The uint8 array of an IDX file, gzipped or not.

    Two zero bytes, the type (8 = unsigned byte), the number of dimensions, each size as big-endian int32, then the
    values in row-major order (LeCun, Cortes and Burges, "The MNIST database").
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

    root         folder of {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each perhaps .gz
    class_names  in the order of the labels
    pad          black pixels added on each side: 2 makes 28x28 into 32x32
    split        train, test
    """

    def __init__(self, root: str | Path, class_names: Sequence[str], pad: int = 0, split: str = "train"):
        pixels, labels = read_split(Path(root), split, pad)
        super().__init__(pixels, labels, class_names, str(root))


def _find(root: Path, name: str) -> Path:
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{root / name}[.gz] is missing; set data.dataset.root to the folder of the IDX files.")
