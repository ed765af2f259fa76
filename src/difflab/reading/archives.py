"""Names and members of archives that somebody else may have made."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from difflab.reading.text import FileError, reason, shown

BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, KeyError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile, MemoryError,
)  # fmt: skip
"""What reading a broken zip may raise; RuntimeError for an encrypted one."""

_MEMBER = 2**30
"""Bytes of one file in a zip, unpacked, at most."""

_DRIVE = re.compile(r"[A-Za-z]:")


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """A zip, open for reading.

    Raises:
        FileError: It is none, or damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except BROKEN as error:
        raise FileError(f"{path} cannot be read as a zip ({reason(error)}). Make it again.") from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int = _MEMBER) -> bytes:
    """A file in a zip, unpacked.

    Args:
        archive: Open.
        name: Of the file.
        limit: Bytes at most; what is packed a thousandfold is not unpacked further.

    Raises:
        FileError: It is damaged, encrypted or larger.
    """
    where = f"{archive.filename}/{shown(name)}"
    try:
        with archive.open(name) as stream:
            content = stream.read(limit + 1)
    except BROKEN as error:
        raise FileError(f"{where} cannot be read ({reason(error)}). Make the archive again.") from error
    if len(content) > limit:
        raise FileError(f"{where} unpacks to more than {limit / 2**20:,.0f} MiB. Remove it from the archive.")
    return content


def check_sums(path: str | Path) -> None:
    """Compares all members of an archive that only stores, as a checkpoint does, with their checksums.

    Raises:
        FileError: The archive or a member is damaged, or members are compressed: they might unpack to anything.
    """
    with open_zip(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise FileError(f"{path} is compressed, which no checkpoint is. Get it again.")
        try:
            for member in members:
                with archive.open(member) as stream:
                    while stream.read(2**20):
                        pass
        except BROKEN as error:
            raise FileError(f"{path} is damaged ({reason(error)}). Get it again.") from error


def check_inside(names: Iterable[str], where: str | Path) -> None:
    """Refuses names of files that lead out of the folder or archive they are said to lie in, here or on another system.

    Args:
        names: Relative paths with forward slashes, as they are to be.
        where: What they are said to lie in.

    Raises:
        FileError: One is absolute, has .. in it, a drive's letter, a backslash, or a control character.
    """
    for name in names:
        if name.isalnum():
            continue
        if problem := _outside(name):
            raise FileError(
                f"{where}: a file is called {shown(name)!r}, which {problem}. Rename it, or do not use what a stranger gave you."
            )


def _outside(name: str) -> str:
    """What is wrong with a name; nothing for most."""
    if not name or len(name) > 1024:
        return "is no name" if not name else "is longer than any path"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash in it, which leads elsewhere on some systems"
    if ".." in name.split("/"):
        return "leads out of it by .."
    return (
        ""
        if name.isprintable() or not any(ord(sign) < 32 or ord(sign) == 127 for sign in name)
        else "has a control character in it"
    )
