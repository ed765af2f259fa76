"""What a scenario is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from scripts.chaos.training import Training


class Unavailable(Exception):
    """This machine does not let the scenario be tried; the message says why."""


class Scenario(ABC):
    """Something that happens to a run.

    Attributes:
        name: A word or two for --only.
        what: What is done, for the table.
    """

    name: str
    what: str

    @abstractmethod
    def disturb(self, training: Training) -> str:
        """Does it to a run that was stopped on its way; afterwards the same command goes on to the end.

        Returns:
            What was seen, for the table.

        Raises:
            Broke: Something did not end as it should.
            Unavailable: It cannot be tried here.
        """
