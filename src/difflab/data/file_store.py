"""Where the files of a data set lie, and whether they are what they were."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from filelock import FileLock

from difflab.data.cache import cache_directory
from difflab.data.errors import DataError
from difflab.files import write_text


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


def checked_content(where: str, stamp: Callable[[], str], check: Callable[[], str]) -> str:
    """check(), a hash of the content, from the cache if it was stored under this stamp.

    The processes of a node take turns, so that one of them looks and the others read. A cache that cannot be written costs time only.

    Args:
        where: One of the files, for errors.
        stamp: Gives something cheap that differs when any of the files has changed.
        check: Looks at all files.

    Raises:
        DataError: A file changed during the look.
    """
    before = stamp()

    def looked() -> str:
        content = check()
        if stamp() != before:
            raise DataError(
                f"{where} or a file beside it changed while they were read. Wait until all are written, and run the same command again."
            )
        return content

    try:
        known = cache_directory("checked_images") / hashlib.blake2b(before.encode(), digest_size=16).hexdigest()
        lock = FileLock(known.with_suffix(".lock"))
        lock.acquire()
    except OSError:
        return looked()
    try:
        if not known.is_file():
            content = looked()
            write_text(known, content)
        return known.read_text(encoding="utf-8")
    finally:
        lock.release()
