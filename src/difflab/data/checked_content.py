"""What a complete look at some files found, remembered until one of them changes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable

from filelock import FileLock

from difflab.data.cache import cache_directory


def checked_content(stamp: str, check: Callable[[], str]) -> str:
    """check(), a hash of the content, from the cache if it was stored under `stamp`.

    The processes of a node take turns, so that one of them looks and the others read. A cache that cannot be written costs time only.
    """
    key = hashlib.blake2b(stamp.encode(), digest_size=16).hexdigest()
    try:
        known = cache_directory("checked_images") / key
        lock = FileLock(known.with_suffix(".lock"))
        lock.acquire()
    except OSError:
        return check()
    try:
        if not known.is_file():
            content = check()
            with tempfile.NamedTemporaryFile("w", dir=known.parent, delete=False) as partial:
                partial.write(content)
            os.replace(partial.name, known)  # processes of other nodes may do this at once
        return known.read_text()
    finally:
        lock.release()
