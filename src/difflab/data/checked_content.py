"""What a complete look at some files found, remembered until one of them changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from filelock import FileLock

from difflab.data.cache import cache_directory
from difflab.data.errors import DataError
from difflab.files import write_text


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
