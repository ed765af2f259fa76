"""What an offline W&B run has on disk.

A `.wandb` file is a log in LevelDB's format (blocks of 32 KiB, each record cut into chunks with checksum, length and kind) of protobuf
records. W&B writes it from a process of its own, so after a crash the file itself tells what was kept, and no one else.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32768
_FILE_HEADER, _CHUNK_HEADER = struct.Struct("<4sHB"), struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def last_mirrored_step(directory: str | Path) -> int:
    """The last step that any offline run below the directory holds; -1 for none. Reads each file from its end up to there."""
    return max((_last_step(path) for path in Path(directory).glob("offline-run-*/*.wandb")), default=-1)


def holds_a_run(path: str | Path) -> bool:
    """Whether the file says which run it is of: one that was killed in its first second may not."""
    return any(record.WhichOneof("record_type") == "run" for _, record in records(path))


def cut_torn_tail(path: str | Path) -> None:
    """Ends the file with its last whole record. `wandb sync` uploads a file with a torn one and calls that a failure, each time anew."""
    size = os.path.getsize(path)
    end = max((end for end, _ in _bodies(path, 0)), default=min(size, _FILE_HEADER.size))
    if end < size:
        os.truncate(path, end)


def records(path: str | Path, first_block: int = 0) -> Iterator[tuple[int, Any]]:
    """(where it ends, the record) of whole records; the torn tail of a killed run is left out, and what is no record as well.

    Args:
        path: Of the file.
        first_block: Where to begin; a record that has begun before is left out.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    for end, body in _bodies(path, first_block):
        with contextlib.suppress(DecodeError):
            yield end, wandb_internal_pb2.Record.FromString(body)  # pyright: ignore[reportAttributeAccessIssue]


def _last_step(path: Path) -> int:
    blocks, back = -(-path.stat().st_size // _BLOCK), 1
    while True:
        first = max(0, blocks - back)
        steps = [
            record.history.step.num
            for _, record in records(path, first)
            if record.WhichOneof("record_type") == "history"
        ]
        if steps or not first:
            return max(steps, default=-1)
        back *= 8


def _bodies(path: str | Path, first_block: int) -> Iterator[tuple[int, bytes]]:
    with Path(path).open("rb") as file:
        begin, parts = file.seek(first_block * _BLOCK), None
        position = 0 if begin else _FILE_HEADER.size
        while block := file.read(_BLOCK):
            while position + _CHUNK_HEADER.size <= len(block):  # less is too little for a chunk: filled with zeros
                checksum, length, kind = _CHUNK_HEADER.unpack_from(block, position)
                body = block[position + _CHUNK_HEADER.size : position + _CHUNK_HEADER.size + length]
                if len(body) < length or zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
                    return
                position += _CHUNK_HEADER.size + length
                if kind in (_FULL, _FIRST):
                    parts = [body]
                elif parts is not None:
                    parts.append(body)
                if kind in (_FULL, _LAST) and parts is not None:
                    yield begin + position, b"".join(parts)
            begin, position = begin + len(block), 0
