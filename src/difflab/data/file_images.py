"""Encoded image files as an image set: every pixel as the file has it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from difflab.data.checked_content import checked_content
from difflab.data.checked_files import TraitCounts, count_traits, each_file, trait_remarks
from difflab.data.errors import warn
from difflab.data.file_store import FileStore
from difflab.data.image_file import ImageFileError, Trait, decoded, examined
from difflab.data.image_set import ImageSet, content_of, pixel_digest
from difflab.reading import parse_json
from difflab.strict_json import dumps


class FileImages(ImageSet):
    """Images that are decoded when they are asked for. All must have the size and the channels of the first, and none may be
    transparent: on which ground it was meant to lie is not known.

    Args:
        files: Where they lie.
        names: In their order.
        labels: [N] int64, or None.
    """

    def __init__(self, files: FileStore, names: Sequence[str], labels: Int[Tensor, " n"] | None):
        self._files, self._names = files, list(names)
        self._like = self._decoded(0).shape
        found = parse_json(checked_content(self.where(0), self._stamp, self._check), f"what was found in {files.name}")
        for remark in trait_remarks(found["traits"], self.where, len(self._names)):
            warn(f"{files.name}: {remark}")
        height, width, channels = self._like
        super().__init__((channels, height, width), len(self._names), labels, found["content"])

    def where(self, index: int) -> str:
        return f"{self._files.where(self._names[index])} (image {index})"

    def _pixels(self, indices: list[int]) -> NDArray[np.uint8]:
        pixels = np.empty((len(indices), *self._like), np.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in enumerate(pool.map(self._decoded, indices)):
                pixels[place] = image
        return pixels

    def _stamp(self) -> str:
        return repr(("decoded pixels", self._files.stamp(self._names), self._names))

    def _check(self) -> str:
        """Decodes every image once: the hash of all pixels, and what these do not show."""
        digests: list[bytes] = []
        traits: TraitCounts = {}
        for number, (digest, found) in enumerate(each_file(len(self._names), self._examined, self._files.name)):
            digests.append(digest)
            count_traits(traits, number, found)
        return dumps({"content": content_of(digests), "traits": traits})

    def _examined(self, index: int) -> tuple[bytes, frozenset[Trait]]:
        picture = examined(self._files.read(self._names[index]), lambda: self.where(index))
        if Trait.ALPHA in picture.traits:
            raise ImageFileError(
                f"{self.where(index)} is of the mode {picture.kind[2]} and transparent in places, which has no colour of its own",
                "Lay all images over a ground first (PIL.Image.alpha_composite).",
            )
        assert picture.image is not None
        pixels = _array(picture.image)
        if pixels.shape != self._like:
            raise ImageFileError(
                f"{self.where(index)} is {_words(pixels.shape)}, but {self.where(0)} is {_words(self._like)}",
                "Nothing is resized or converted here: bring all images to one form first.",
            )
        return pixel_digest(pixels), picture.traits

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        return _array(decoded(self._files.read(self._names[index]), lambda: self.where(index)))


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """[H, W, C]."""
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _words(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"
