"""Data sets of encoded image files (PNG, JPEG, ...), wherever the files lie."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.adm_crop import adm_crop
from difflab.data.checked_files import checked_files
from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError, warn
from difflab.data.file_store import FileStore
from difflab.data.image_file import decoded

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
