"""Where the files of a data set lie and whether they are what they were, and where difflab keeps what it can compute or download again."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from difflab.data.errors import DataError, warn
from difflab.files import write_text
from difflab.runtime.invocation import temporary_home


def cache_root() -> Path:
    """$DIFFLAB_CACHE, or ~/.cache/difflab."""
    if named := os.environ.get("DIFFLAB_CACHE"):
        return Path(named).expanduser()
    try:
        home = Path.home()
    except RuntimeError:  # neither $HOME nor an entry among the users
        home = temporary_home()
    return home / ".cache" / "difflab"


def cache_directory(purpose: str) -> Path:
    """The folder for `purpose` below the root, made if absent; a temporary one where that cannot be written."""
    folder = cache_root() / purpose
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        problem = "permission denied"
    except OSError as error:
        problem = error.strerror or str(error)
    instead = temporary_home() / ".cache" / "difflab" / purpose
    warn(
        f"{folder} cannot be written ({problem}), and {instead} takes its place: let $DIFFLAB_CACHE name a folder that can be written and "
        "is kept"
    )
    instead.mkdir(parents=True, exist_ok=True)
    return instead


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
