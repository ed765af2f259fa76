"""The early end of a command, in a form that whoever runs several of them can read."""

from __future__ import annotations


class Ended(SystemExit):
    """A command ends, and the user has been told why.

    Attributes:
        status: The exit status.
        reason: Why, in one line.
        others_too: Whether what ends this command ends those that would follow it in the same process: a signal, or the end of an
            allocation.
    """

    def __init__(self, status: int, reason: str, others_too: bool = False):
        super().__init__(status)
        self.status, self.reason, self.others_too = status, reason, others_too
