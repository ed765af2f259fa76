"""Encoded image files as an image set: every pixel as the file has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from difflab.data.checked_content import checked_content
from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.image_file import pixels_of
from difflab.data.image_set import ImageSet, content_of, pixel_digest

_AT_ONCE = 256
"""Files that wait decoded."""


class FileImages(ImageSet):
    """Images that are decoded when they are asked for. All must have the size and the channels of the first.

    files   where they lie
    names   in their order
    labels  [N] int64, or None
    """

    def __init__(self, files: FileStore, names: Sequence[str], labels: Int[Tensor, " n"] | None):
        self._files, self._names = files, list(names)
        self._like = pixels_of(files.read(self._names[0]), self.where(0)).shape
        content = checked_content(self.where(0), self._stamp, self._check)
        height, width, channels = self._like
        super().__init__((channels, height, width), len(self._names), labels, content)

    def where(self, index: int) -> str:
        return f"{self._files.where(self._names[index])} (image {index})"

    def _pixels(self, indices: list[int]) -> NDArray[np.uint8]:
        pixels = np.empty((len(indices), *self._like), np.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in enumerate(pool.map(self._decoded, indices)):
                pixels[place] = image
        return pixels

    def _stamp(self) -> str:
        return repr(("file pixels", self._files.stamp(self._names), self._names))

    def _check(self) -> str:
        """Decodes every image once, and gives the hash of all pixels."""
        return content_of(self._checked_digests())

    def _checked_digests(self) -> Iterator[bytes]:
        with ThreadPoolExecutor() as pool:
            for first in range(0, len(self._names), _AT_ONCE):
                chunk = range(first, min(first + _AT_ONCE, len(self._names)))
                yield from pool.map(lambda index: pixel_digest(self._decoded(index)), chunk)

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        pixels = pixels_of(self._files.read(self._names[index]), self.where(index))
        if pixels.shape != self._like:
            raise DataError(
                f"{self.where(index)} is {_words(pixels.shape)}, but {self.where(0)} is {_words(self._like)}. "
                "Nothing is resized or converted here: bring all images to one form first."
            )
        return pixels


def _words(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"
