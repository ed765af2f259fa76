"""Files and folders that are there complete or not at all, also after a kill or a power failure: the one way in which results are written.

A file is written beside its place under a name that no other process has, flushed to the disk, renamed, and the folder that holds it is
flushed. So whoever finds a file finds all of it, and files that were written one after another appear in that order: a mark such as
complete.json implies what was written before it. What a killed process leaves behind begins with `.writing-`, has no suffix of a
result, and is removed by `clear_remains`.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from difflab.reading.json import dumps

_PREFIX = ".writing-"
_NOT_FLUSHED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR}
"""What file systems say that cannot flush a folder (or anything)."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_WRITING = {*_NO_ROOM, errno.EIO, errno.EROFS}


def has_no_room(error: OSError) -> bool:
    """Whether something could not be written since a disk, or a user's part of it, is full."""
    return error.errno in _NO_ROOM


class WriteError(OSError):
    """A file could not be written. What was there before is intact, and nothing half-written bears its name."""

    @classmethod
    def of(cls, path: str | Path, error: BaseException) -> WriteError:
        """The line for the user: which file, why, how much room there is and what to do."""
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number else " ".join(str(error).split())[:200]
        remedy = (
            "may this user write there?"
            if number in (errno.EACCES, errno.EPERM)
            else "mend this and run the command again"
        )
        said = cls(f"could not write {path} ({why}; {room(path)}). What was there before is intact: {remedy}")
        said.errno = number
        return said


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Gives the path of an empty file to write to; afterwards it has its own name and is on the disk.

    The folder is made where it is missing. The file may be read by whom the umask lets.

    Raises:
        WriteError: It could not be written.
    """
    path = Path(path)
    with _explained(path):
        make_folder(path.parent)
        aside = _aside(path)
        mode = _created(aside)
    try:
        with _explained(path, aside):
            yield aside
            if aside.stat().st_mode != mode:  # a library has made a file of its own here
                aside.chmod(mode & 0o777)
            move(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes a file in one piece. Raises a `WriteError` if that cannot be done."""
    with atomic_file(path) as aside:
        aside.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text (UTF-8, line ends as they are) in one piece. Raises a `WriteError` if that cannot be done."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any, indent: int | None = 2) -> None:
    """Writes plain containers in one piece; numbers that are not finite become null. Raises a `WriteError` if that cannot be done."""
    write_text(path, dumps(content, indent=indent))


def append_text(path: str | Path, text: str) -> None:
    """Adds to the end of a file, which is made where it is missing, but not its folder. It is on the disk once `flush` was called.

    Raises:
        WriteError: It could not be written; the file ends where it ended before.
    """
    path = Path(path)
    with _explained(path):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            end, left = os.fstat(file).st_size, text.encode()
            try:
                while left:  # a disk that fills up takes a part first
                    left = left[os.write(file, left) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, end)
                raise
        finally:
            os.close(file)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Gives an empty folder to write into; afterwards it stands, flushed to the disk, in the place of `path` and of what was there.

    Raises:
        WriteError: It could not be written.
    """
    path = Path(path)
    with _explained(path):
        make_folder(path.parent)
        aside = _aside(path)
        aside.mkdir()
    try:
        with _explained(path, aside):
            yield aside
            with ThreadPoolExecutor(16) as pool:  # file systems flush many at once in one go
                list(pool.map(flush, [Path(root, name) for root, _, names in os.walk(aside) for name in names]))
            for root, _, _ in os.walk(aside, topdown=False):
                flush(root)
            if path.exists():
                former = path.with_name(f"{aside.name}-former")
                os.replace(path, former)
                os.replace(aside, path)
                shutil.rmtree(former)
            else:
                os.replace(aside, path)
            flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def move(path: str | Path, target: str | Path) -> None:
    """Gives a finished file another name, in place of the one that may bear it, with its content on the disk."""
    path, target = Path(path), Path(target)
    flush(path)
    os.replace(path, target)
    flush(target.parent)
    if path.parent != target.parent:
        flush(path.parent)


def link(path: str | Path, name: str | Path) -> None:
    """Makes `name` a second name of a file that is on the disk, or a copy where the file system knows no links.

    Raises:
        WriteError: It could not be written.
    """
    path, name = Path(path), Path(name)
    aside = _aside(name)
    try:
        os.link(path, aside)
    except OSError:
        with atomic_file(name) as copy:
            shutil.copyfile(path, copy)
        return
    with _explained(name):
        os.replace(aside, name)
        aside.unlink(missing_ok=True)  # two names of one file replace each other without a change
        flush(name.parent)


def make_folder(path: str | Path) -> None:
    """Makes a folder and those above it that are missing, so that they are there after a power failure.

    Raises:
        WriteError: It could not be made.
    """
    path = Path(path)
    with _explained(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in reversed(missing):
            flush(folder.parent)


def flush(path: str | Path) -> None:
    """Has the disk keep what a file holds, or which names a folder has; where the file system can."""
    try:
        opened = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # one may write into a folder that one may not list
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NOT_FLUSHED:
            raise
    finally:
        os.close(opened)


def clear_remains(folder: str | Path) -> None:
    """Removes what processes that were killed while they wrote left in a folder. Only for whoever writes there alone."""
    for remains in Path(folder).glob(f"{_PREFIX}*"):
        if remains.is_dir():
            shutil.rmtree(remains, ignore_errors=True)
        else:
            remains.unlink(missing_ok=True)


def room(path: str | Path) -> str:
    """How much is free where a file is or would be, in words."""
    path = Path(path).absolute()
    try:
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        found = os.statvfs(there)
    except OSError:
        return "how much is free is not known"
    if found.f_files and not found.f_favail:
        return "no room for another file on its disk"
    return f"{found.f_bavail * found.f_frsize / 1e6:.1f} MB free on its disk"


def _aside(path: Path) -> Path:
    """A name of nobody else's beside a path. The name of the file is cut, so that a long one stays within 255 bytes."""
    return path.with_name(f"{_PREFIX}{os.fsdecode(os.fsencode(path.name)[:100])}-{os.getpid()}-{secrets.token_hex(6)}")


def _created(path: Path) -> int:
    """Makes an empty file; the mode that the umask and the folder give it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(file).st_mode
    finally:
        os.close(file)


@contextmanager
def _explained(path: Path, aside: Path | None = None) -> Iterator[None]:
    """Errors of writing name the file that was meant; those of what else is done inside, as reading, stay as they are."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        if aside is None or error.errno in _OF_WRITING or str(aside) in (error.filename, error.filename2):
            raise WriteError.of(path, error) from error
        raise
