"""Data sets of encoded images, in whatever store they lie."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from difflab.data.checked_files import TraitCounts, checked_files, count_traits, each_file, trait_remarks
from difflab.data.dataset import ImageDataset, ImageSet, content_of, pixel_digest
from difflab.data.errors import DataError, warn
from difflab.data.file_store import FileStore, checked_content
from difflab.data.image_file import ImageFileError, Trait, adm_crop, decoded, examined
from difflab.reading import parse_json
from difflab.reading.json import dumps

_MODES = {1: "L", 3: "RGB"}


class EncodedImages(ImageDataset):
    """Images that are decoded, resized and centre-cropped as ADM does (`adm_crop`) when they are asked for.

    At construction every file is read and decoded once. What is broken is named, and what is not as it seems is said. The result is
    kept in the cache under the files' stamp, so that this is done again only after something changed.
    """

    @abstractmethod
    def __init__(
        self,
        files: FileStore,
        names: Sequence[str],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        image_size: int,
        channels: int,
        content: str | None = None,
    ):
        """A subclass finds the files and passes them on.

        Args:
            files: Where they lie.
            names: Of the images there.
            labels: [N], or None.
            class_names: One per class; empty without labels.
            image_size: Side to which every image is resized and centre-cropped.
            channels: 3 colour, 1 grey.
            content: What the hash of names and bytes (`hash_of`) was before the files were packed; None: it is computed.
        """
        if channels not in _MODES:
            raise DataError(f"data.channels={channels}: image files are read as grey (1) or colour (3).")
        super().__init__(image_size, channels, labels, class_names)
        self._files, self._names = files, list(names)
        findings = checked_files(files, self._names)
        self._content = content or findings.content
        self._scaled = findings.scaled
        for remark in findings.remarks(lambda number: files.where(self._names[number]), labels, image_size):
            warn(f"{files.name}: {remark}")

    def __len__(self) -> int:
        return len(self._names)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        chosen = torch.as_tensor(indices).tolist()
        pixels = np.empty((len(chosen), self.channels, self.image_size, self.image_size), np.uint8)
        for place, index in zip(pixels, chosen, strict=True):
            self._decode(self._names[index], place)
        return torch.from_numpy(pixels)

    def hash_content(self) -> str:
        labels = None if self.labels is None else self.labels.tolist()
        content = (self._content, labels, self.class_names, self.image_size, self.channels, "adm_crop", *self._scaled)
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _decode(self, name: str, place: UInt8[np.ndarray, "c h w"]) -> None:
        """Writes an image where it belongs in its batch."""
        image = decoded(self._files.read(name), lambda: self._files.where(name), _MODES[self.channels])
        pixels = np.asarray(adm_crop(image, self.image_size))
        place[...] = pixels.reshape(self.image_size, self.image_size, self.channels).transpose(2, 0, 1)


class FileImages(ImageSet):
    """Images that are decoded when they are asked for.

    All must have the size and the channels of the first, and none may be transparent: on which ground it was meant to lie is not known.

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
