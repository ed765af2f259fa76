"""What can be packed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Content(NamedTuple):
    """An encoded image or array, and the extension that says how it is encoded."""

    data: bytes
    extension: str


class PackSource(ABC):
    """N examples in their order.

    about        where they come from, for people
    names        one for each
    labels       a class number for each, or None
    class_names  empty without labels
    settings     what is done to them, in words
    image_size   to which images are resized; None: not at all
    """

    def __init__(
        self,
        about: str,
        names: Sequence[str],
        labels: Sequence[int] | None,
        class_names: Sequence[str],
        settings: str,
        image_size: int | None,
    ):
        self.about = about
        self.names = names
        self.labels = labels
        self.class_names = class_names
        self.settings = settings
        self.image_size = image_size

    @abstractmethod
    def stamp(self) -> str:
        """Something cheap that differs when the examples have changed."""

    @abstractmethod
    def contents(self, first: int) -> Iterator[Content]:
        """Those of the examples first, first + 1, ..."""

    @abstractmethod
    def shape(self) -> list[int] | None:
        """[C, H, W] of arrays; None for images. Asked after `contents`."""
