"""What a look into a model is: a section of the page with its pictures, and by its own word whether it suits the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difflab.explaining.subject import Subject


@dataclass(frozen=True)
class Picture:
    """A PNG, on the page and in a file of its own.

    Attributes:
        name: Of the file, without its ending.
        png: Its content.
        says: What there is to see, for those who cannot see it.
        caption: Below it.
    """

    name: str
    png: bytes
    says: str
    caption: str


@dataclass(frozen=True)
class Finding:
    """What a look has found.

    Attributes:
        text: Paragraphs: what was done, with the paper that did it first, and what came out.
        pictures: In order.
        head: Of a table; empty for none.
        rows: Of the table.
    """

    text: Sequence[str]
    pictures: Sequence[Picture] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


class Look(ABC):
    """A section of the page.

    Attributes:
        name: In addresses, and the beginning of its pictures' names.
        title: Of the section.
    """

    name: str
    title: str

    @abstractmethod
    def suits(self, subject: Subject) -> str:
        """The reason why it is left out, in a clause; "" where it is not."""

    @abstractmethod
    def __call__(self, subject: Subject) -> Finding:
        """Looks. What is drawn at random is a function of seeds: a second look finds the same to the last bit."""
