"""What an offline W&B run has on disk.

A `.wandb` file is a log in LevelDB's format (blocks of 32 KiB, each record cut into chunks with checksum, length and kind) of protobuf
records. W&B writes it from a process of its own, so after a crash the file itself tells what was kept, and no one else.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 32768
_FILE_HEADER, _CHUNK_HEADER = struct.Struct("<4sHB"), struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def last_mirrored_step(directory: str | Path) -> int:
    """The last step that any offline run below the directory holds; -1 for none."""
    from wandb.proto import wandb_internal_pb2

    last = -1
    for path in Path(directory).glob("offline-run-*/*.wandb"):
        for _, body in _records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(body)  # pyright: ignore[reportAttributeAccessIssue]
            if record.WhichOneof("record_type") == "history":
                last = max(last, record.history.step.num)
    return last


def holds_a_run(path: str | Path) -> bool:
    """Whether the file says which run it is of: one that was killed in its first second may not."""
    from wandb.proto import wandb_internal_pb2

    return any(
        wandb_internal_pb2.Record.FromString(body).WhichOneof("record_type") == "run"  # pyright: ignore[reportAttributeAccessIssue]
        for _, body in _records(Path(path).read_bytes())
    )


def cut_torn_tail(path: str | Path) -> None:
    """Ends the file with its last whole record. `wandb sync` uploads a file with a torn one and calls that a failure, each time anew."""
    data = Path(path).read_bytes()
    end = max((end for end, _ in _records(data)), default=min(len(data), _FILE_HEADER.size))
    if end < len(data):
        os.truncate(path, end)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(where it ends, the record) of whole records; the torn tail of a killed run is left out."""
    position, parts = _FILE_HEADER.size, b""
    while position + _CHUNK_HEADER.size <= len(data):
        room = _BLOCK - position % _BLOCK
        if room < _CHUNK_HEADER.size:  # too little for a chunk: filled with zeros
            position += room
            continue
        checksum, length, kind = _CHUNK_HEADER.unpack_from(data, position)
        body = data[position + _CHUNK_HEADER.size : position + _CHUNK_HEADER.size + length]
        if len(body) < length or zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
            return
        position += _CHUNK_HEADER.size + length
        parts = body if kind in (_FULL, _FIRST) else parts + body
        if kind in (_FULL, _LAST):
            yield position, parts
