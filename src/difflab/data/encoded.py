"""Data sets of encoded image files (PNG, JPEG, ...), wherever the files lie."""

from __future__ import annotations

import hashlib
import io
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from difflab.data.adm_crop import adm_crop
from difflab.data.checked_content import checked_content
from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError
from difflab.data.image_file import CORRUPT, format_of, unreadable
from difflab.data.shard_index import digest_of, hash_of

_MODES = {1: "L", 3: "RGB"}


class EncodedImages(ImageDataset):
    """Images that are decoded, resized and centre-cropped as ADM does (`adm_crop`) when they are asked for.

    At construction every file is read once: its header is checked and its bytes are hashed. The result is kept in the cache
    under the files' `stamp`, so that this is done again only after something changed.

    content   the hash of names and bytes (`hash_of`) of files that were checked already; None: they are read as said above
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        image_size: int,
        channels: int,
        content: str | None = None,
    ):
        if channels not in _MODES:
            raise DataError(f"data.channels={channels}: image files are read as grey (1) or colour (3).")
        super().__init__(image_size, channels, labels, class_names)
        self._names = list(names)
        self._content = self._checked_content() if content is None else content

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The encoded file. Called from several threads, and from worker processes."""

    @abstractmethod
    def where(self, name: str) -> str:
        """What an error calls the file, so that a person finds it."""

    @abstractmethod
    def stamp(self) -> str | None:
        """Something cheap that differs when any file has changed; None if there is no such thing."""

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
        content = (self._content, labels, self.class_names, self.image_size, self.channels, "adm_crop")
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _decode(self, name: str, place: UInt8[np.ndarray, "c h w"]) -> None:
        """Writes an image where it belongs in its batch."""
        mode = _MODES[self.channels]
        try:
            with Image.open(io.BytesIO(self.read(name))) as image:
                same = image if image.mode == mode else image.convert(mode)  # `convert` copies in any case
                pixels = np.asarray(adm_crop(same, self.image_size))
        except CORRUPT as error:
            raise unreadable(self.where(name), error) from error
        place[...] = pixels.reshape(self.image_size, self.image_size, self.channels).transpose(2, 0, 1)

    def _checked_content(self) -> str:
        """The hash of all names and bytes, after a look at each header."""
        if self.stamp() is None:
            return self._check_all()
        where = self.where(self._names[0])
        return checked_content(where, lambda: repr((self.stamp(), self._names)), self._check_all)

    def _check_all(self) -> str:
        with ThreadPoolExecutor() as pool:
            return hash_of(self._names, pool.map(self._check, self._names))

    def _check(self, name: str) -> bytes:
        content = self.read(name)
        format_of(content, self.where(name))
        return digest_of(content)
