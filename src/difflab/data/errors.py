"""What goes wrong with data, said before training starts."""

from collections.abc import Sequence

from difflab.reading import FileError

DataError = FileError
"""A data set or its layout cannot be used: what `reading` says of a file of it is one. The message names the file or the setting, and
the remedy."""


def warn(message: str) -> None:
    """Says something of the data that does not keep one from using them, once and by the first process."""
    from pytorch_lightning.utilities import rank_zero_warn

    rank_zero_warn(message)


def some(items: Sequence[str], count: int, separator: str = ", ") -> str:
    """The first of `count` items, and how many more there are."""
    more = f" and {count - len(items):,} more" if count > len(items) else ""
    return separator.join(items) + more
