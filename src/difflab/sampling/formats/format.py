"""What a format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from difflab.sampling.shards import Shards


class Format(ABC):
    """A way to hand a set of images on.

    needs_pictures   whether it holds images of 1 or 3 channels only
    """

    needs_pictures: bool

    @abstractmethod
    def write(self, shards: Shards, folder: Path) -> Path:
        """Writes the set into the folder, shard by shard, whole or not at all; the path of what was written."""


def check_pictures(formats: dict[str, Format], channels: int) -> None:
    """A ValueError if one of the formats cannot hold images of so many channels."""
    for name, format in formats.items():
        if format.needs_pictures and channels not in (1, 3):
            raise ValueError(
                f"format={name} holds grey or RGB pictures and these images have {channels} channels: choose format=npz"
            )
