"""When Python looks for garbage.

torch and Lightning are a million objects that live from their import to the end of the process. Python's collector goes through them again
and again while they are imported, which is a third of that time, and once more at the end, which takes longer than all else there.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """Within the context nothing is collected, and what has been made in it is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def end_at_once() -> None:
    """The process will end without looking for garbage: its memory goes back as a whole. Functions that wait for its end are called as
    ever, threads are waited for."""
    atexit.register(gc.freeze)
