"""Where encoded image files lie: a folder, a zip, the shards of a tar."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class FileStore(ABC):
    """Files by name.

    Attributes:
        name: What the whole is called.
    """

    name: str

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The file's content. Called from several threads, and from worker processes."""

    @abstractmethod
    def where(self, name: str) -> str:
        """What an error calls the file, so that a person finds it."""

    @abstractmethod
    def stamp(self, names: Sequence[str]) -> str | None:
        """Something cheap that differs when any of these files has changed; None if there is no such thing."""
