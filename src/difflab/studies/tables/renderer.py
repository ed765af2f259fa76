"""The forms in which a table is written."""

from __future__ import annotations

from abc import ABC, abstractmethod

from difflab.studies.tables.table import AblationTable


class Renderer(ABC):
    """suffix   of a file of this form"""

    suffix: str

    @abstractmethod
    def render(self, table: AblationTable) -> str:
        """The whole text, with notes where the form has room for them."""
