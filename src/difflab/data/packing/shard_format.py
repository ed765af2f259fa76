"""A form of shards that other programs read too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from difflab.data.shard_index import ShardIndex


class Example(NamedTuple):
    """What is written of an example.

    number     in the whole data set
    name       in the source
    content    the encoded image, or array
    extension  that says how it is encoded, with the dot
    label      class number, or None
    """

    number: int
    name: str
    content: bytes
    extension: str
    label: int | None


class ShardFormat(ABC):
    """Formats keep the content of an example as it is, in one piece; so `ShardIndex` can say where it lies, and one reader reads all."""

    name: str
    extension: str
    largest: int = 2**63
    """Bytes that a shard may have."""

    @abstractmethod
    def write(self, path: Path, examples: Sequence[Example], class_names: Sequence[str]) -> list[int]:
        """Writes a shard; the position of each content in it."""

    @abstractmethod
    def side_files(self, folder: Path, index: ShardIndex) -> dict[str, bytes]:
        """Files that the format wants beside the shards (name -> content), once these are complete."""
