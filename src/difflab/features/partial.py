"""Intermediate results of a long computation, on disk every few seconds: a kill costs those seconds."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from difflab.files import write_bytes
from difflab.reading.arrays import opened_safetensors

EVERY = 20.0
"""Seconds between two writes."""


class PartialResults:
    """Tensors that stand for the first images of a set, in one file.

    What cannot be read or is of another computation counts as nothing, and what cannot be written costs time at most.
    """

    def __init__(self, path: Path, fields: Mapping[str, str | int]):
        """A file that holds nothing yet, or what an interrupted command has left.

        Args:
            path: The file.
            fields: All on which the tensors depend, but for the number of images.
        """
        self.path = path
        self._fields = json.dumps(fields, sort_keys=True)
        self._written = time.monotonic()

    def load(self) -> tuple[int, dict[str, Tensor]]:
        """How many images are done and what came out; (0, {}) where nothing was kept."""
        try:
            with opened_safetensors(self.path) as file:
                said = file.metadata() or {}
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
            if said.get("fields") == self._fields and said.get("sha256") == self._checksum(int(said["done"]), tensors):
                return int(said["done"]), tensors
        except (OSError, ValueError, KeyError):
            pass
        return 0, {}

    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written >= EVERY

    def save(self, done: int, tensors: Mapping[str, Tensor]) -> None:
        """Writes the tensors of the first `done` images, whole or not at all."""
        copies = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        said = {"fields": self._fields, "done": str(done), "sha256": self._checksum(done, copies)}
        try:
            write_bytes(self.path, save(copies, said))
        except OSError:
            self.remove()
        self._written = time.monotonic()

    def remove(self) -> None:
        """Removes the file: the computation is done."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _checksum(self, done: int, tensors: Mapping[str, Tensor]) -> str:
        digest = hashlib.sha256(f"{self._fields} {done}".encode())
        for name in sorted(tensors):
            digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
            digest.update(tensors[name].numpy().data)
        return digest.hexdigest()
