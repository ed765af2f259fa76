"""Makers of broken, foreign and gigantic files: kind of file -> what is wrong with it -> its bytes."""

from __future__ import annotations

import copy
import io
import itertools
import json
import pickle
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

DEEP = 10**5

Content = bytes | Callable[[], bytes]
"""Of a file, or what makes it if it takes long."""


class Runs:
    """A pickle that would make a file named RAN where it is read."""

    def __reduce__(self):
        return Path.touch, (Path("RAN"),)


LAUGHS = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


def torn(whole: bytes) -> Iterator[tuple[str, Content]]:
    """A file that is empty, cut off, of other content, or has a bit turned."""
    yield "empty", b""
    yield "one byte", whole[:1]
    yield "half", whole[: len(whole) // 2]
    yield "all but the end", whole[: -max(1, len(whole) // 50)]
    yield "zeros", bytes(len(whole))
    yield "noise", random.Random(0).randbytes(1000)
    for place in (0.1, 0.5, 0.9):
        turned = bytearray(whole)
        turned[int(len(turned) * place)] ^= 0x10
        yield f"turned at {place}", bytes(turned)


VALUES: tuple[Any, ...] = (None, True, -1, 1.5, 10**30, "text", "\x1b[2J\nx", [], {}, [1, {}], float("nan"), 1e308)
"""What stands where something else is expected."""


def changed(content: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """A structure that lacks one of its entries, or has another kind of value there: three of them at each, in turn."""
    for number, path in enumerate(_paths(content, depth)):
        dotted = ".".join(map(str, path))
        without = copy.deepcopy(content)
        *above, last = path
        del _at(without, above)[last]
        yield f"without {dotted}", without
        for value in itertools.islice(itertools.cycle(VALUES), 3 * number, 3 * number + 3):
            other = copy.deepcopy(content)
            _at(other, above)[last] = value
            yield f"{dotted} = {value!r}", other


def _paths(node: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for key, inner in entries if depth else ():
        yield (key,)
        for path in _paths(inner, depth - 1):
            yield (key, *path)


def _at(node: Any, path: list[Any]) -> Any:
    for key in path:
        node = node[key]
    return node


def json_texts(whole: str, depth: int = 4) -> Iterator[tuple[str, Content]]:
    """Files of JSON."""
    yield from torn(whole.encode())
    yield "brackets", b"[" * DEEP
    yield "closed brackets", b"[" * 500 + b"]" * 500
    yield "braces", b'{"a":' * DEEP
    yield "digits", b'{"a": ' + b"1" * DEEP + b"}"
    yield "long text", lambda: b'{"a": "' + b"x" * 10**7 + b'"}'
    yield "many lists", lambda: b"[" + b"[]," * (4 * 10**6) + b"1]"
    yield "latin", '{"é": 1}'.encode("latin-1")
    yield "utf-16", whole.encode("utf-16")
    for text in ("null", "1", "NaN", '"a"', "[]", "{}", "[1]", "[{}]", "[[]]", '{"a": 1}', "true"):
        yield text, text.encode()
    for what, content in changed(json.loads(whole), depth):
        yield what, json.dumps(content).encode()


def yaml_texts(whole: str, depth: int = 3) -> Iterator[tuple[str, Content]]:
    """Files of YAML."""
    yield from torn(whole.encode())
    yield "laughs", LAUGHS.encode()
    yield "laughs beside", whole.encode() + b"\n" + LAUGHS.encode()
    yield "brackets", b"[" * DEEP
    yield "braces", b"{a: " * DEEP
    yield "dashes", b"- " * DEEP
    yield "python", b"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [RAN]]"
    yield "python beside", whole.encode() + b"\nzzz: !!python/object/apply:os.getcwd []\n"
    yield "tag", b"a: !secret x"
    yield "itself", b"a: &a [*a]"
    yield "digits", b"a: " + b"1" * DEEP
    yield "sixties", b"a: 1" + b":1" * DEEP + b".5"
    yield "twice", whole.encode() + b"\n" + whole.encode()
    yield "key of a list", b"? [1, 2]\n: 3\n"
    yield "latin", "é: 1".encode("latin-1")
    for text in ("null", "1", "text", "[]", "{}", "[1]", "- {}", "a: 1", "--- 1\n--- 2"):
        yield text, text.encode()
    for what, content in changed(yaml.safe_load(whole), depth):
        yield what, yaml.safe_dump(content, sort_keys=False).encode()


def safetensors_files(whole: bytes) -> Iterator[tuple[str, Content]]:
    """Files of safetensors."""
    yield from torn(whole)
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]

    def made(content: Any, claimed: int | None = None) -> bytes:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        return struct.pack("<Q", len(text) if claimed is None else claimed) + text + data

    yield "header of 2^60 bytes", made(header, 2**60)
    yield "header of -1 bytes", made(header, 2**64 - 1)
    yield "brackets", made(b"[" * DEEP)
    yield "braces", made(b'{"a":' * DEEP + b"1" + b"}" * DEEP)
    yield "list", made([])
    name = next(key for key in header if key != "__metadata__")
    for field, values in {
        "dtype": ("F99", 3, None, "BOOL", "I64"),
        "shape": ([-1], [2**62, 2**62], [10**30], "x", None, [1.5]),
        "data_offsets": ([0, 2**62], [-4, 0], [8, 4], [0], None, [0, 3]),
    }.items():
        for value in values:
            yield f"{field} = {value}", made({**header, name: {**header[name], field: value}})
    names = [key for key in header if key != "__metadata__"][:2]
    yield "overlap", made({**header, names[1]: header[names[0]]})
    yield "without a tensor", made({key: value for key, value in header.items() if key != name})
    yield "foreign", made({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}})
    told = header.get("__metadata__", {})
    yield "told nothing", made({key: value for key, value in header.items() if key != "__metadata__"})
    for value in ([1], "x", 3, {"step": 1}, {"config": None}):
        yield f"told {value}", made({**header, "__metadata__": value})
    plain = {key: value for key, value in told.items() if not key.endswith("sha256")}
    for key in plain:
        for value in (
            "",
            "x",
            "-1",
            "9" * DEEP,
            "[" * DEEP,
            "null",
            "[]",
            "{}",
            LAUGHS,
            "a: !!python/name:os.system ''",
        ):
            yield f"told {key} = {value[:20]}", made({**header, "__metadata__": {**plain, key: value}})
        yield f"told no {key}", made({**header, "__metadata__": {k: v for k, v in plain.items() if k != key}})


def torch_files(whole: bytes) -> Iterator[tuple[str, Content]]:
    """Checkpoints that torch.save wrote."""
    yield from torn(whole)
    yield "text", b"hello\n" * 100
    yield "pickle", pickle.dumps(Runs())
    yield "legacy pickle", pickle.dumps({"a": 1}, protocol=2)
    content = torch.load(io.BytesIO(whole), weights_only=True)

    def saved(of: Any) -> bytes:
        stream = io.BytesIO()
        torch.save(of, stream)
        return stream.getvalue()

    for of in (Runs(), {"state_dict": Runs()}, [], 3, "x", None, {}, {"state_dict": {}}, {"model": torch.ones(3)}):
        yield f"saved {type(of).__name__} {str(of)[:20]}", partial(saved, of)
    yield "tensor", partial(saved, torch.ones(4))
    yield "stretched tensor", partial(saved, {"state_dict": {"a": torch.zeros(1).expand(10**12)}})
    for what, other in changed(content, 1):
        yield what, partial(saved, other)
    for what, change in {
        "nan": lambda value: torch.full_like(value, float("nan")) if value.is_floating_point() else value,
        "narrow": lambda value: value[:1] if value.ndim else value,
        "whole numbers": lambda value: value.long(),
        "complex": lambda value: value.to(torch.complex64),
        "stretched": lambda value: torch.zeros((1,) * value.ndim).expand(value.shape),
    }.items():
        yield f"weights {what}", lambda change=change: saved(_each_tensor(content, change))
    for name, member in (
        ("data.pkl", bytes(2**26)),
        ("word/document.xml", b"<xml/>"),
        ("archive/data.pkl", b"\x80\x02N."),
    ):
        yield f"zip of {name}", partial(zip_of, {name: member}, zipfile.ZIP_DEFLATED)


def _each_tensor(node: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(node, torch.Tensor):
        return change(node)
    if isinstance(node, dict):
        return {key: _each_tensor(value, change) for key, value in node.items()}
    return type(node)(_each_tensor(value, change) for value in node) if isinstance(node, list | tuple) else node


def npy(
    shape: str, descr: str = "'|u1'", data: bytes = b"", fortran: str = "False", version: bytes = b"\x01\x00"
) -> bytes:
    """The bytes of a .npy file whose header says what it is told to."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def npy_files(whole: bytes) -> Iterator[tuple[str, Content]]:
    """Files of one array."""
    yield from torn(whole)
    yield "huge", npy("(1000000000000000000,)")
    yield "overflow", npy("(4294967296, 4294967296, 4294967296)")
    yield "negative", npy("(-1,)", data=bytes(4))
    yield "objects", npy("(1,)", "'|O'", pickle.dumps([Runs()]))
    yield "records", npy("(1,)", "[('a', '<f4'), ('b', '|O')]", bytes(12))
    yield "records of numbers", npy("(1,)", "[('a', '<f4'), ('b', '<i4')]", bytes(8))
    yield "type", npy("(4,)", "'<q99'", bytes(20))
    yield "no size", npy("(10,)", "'|V0'")
    yield "texts", npy("(2,)", "'<U2'", bytes(16))
    yield "dates", npy("(2,)", "'<M8[s]'", bytes(16))
    yield "complex", npy("(2,)", "'<c8'", bytes(16))
    yield "text as shape", npy("'x'", data=bytes(4))
    yield "true as shape", npy("(True,)", data=bytes(1))
    yield "version", npy("(1,)", data=b"1", version=b"\x09\x00")
    yield "column by column", npy("(2, 2, 2, 3)", data=bytes(24), fortran="True")
    yield "brackets", b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000
    yield "a pickle", pickle.dumps(Runs())
    for array in (
        np.array(3),
        np.zeros(0),
        np.array([np.nan, np.inf]),
        np.array([1.7e9]),
        np.array([1700000000]),
        np.arange(3) - 1,
    ):
        yield f"{array.dtype} {array}", npy_of(array)


def npy_of(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz_of(arrays: dict[str, np.ndarray | bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    return zip_of({f"{k}.npy": v if isinstance(v, bytes) else npy_of(v) for k, v in arrays.items()}, compression)


def npz_files(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, Content]]:
    """Files of several arrays, each of which in turn is broken."""
    yield from torn(npz_of(arrays))
    yield "compressed and torn", npz_of(arrays, zipfile.ZIP_DEFLATED)[:-300]
    for name, array in arrays.items():
        yield f"without {name}", npz_of({key: value for key, value in arrays.items() if key != name})
        for what, content in npy_files(npy_of(array)):
            for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                yield f"{name} {what} {compression}", npz_of({**arrays, name: content}, compression)
    yield "bomb", lambda: npz_of({next(iter(arrays)): npy("(1000000000,)") + bytes(2**28)}, zipfile.ZIP_DEFLATED)


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def png(width: int = 8, height: int = 8, mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (width, height)).save(stream, "PNG")
    return stream.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(2**20))) + chunk(b"IEND", b"")
    )


def images() -> Iterator[tuple[str, Content]]:
    """Image files."""
    yield from torn(png(32, 32, "RGB"))
    for width, height in ((1, 1000000), (1000000, 1), (100000, 100000), (30000, 30000), (2**31 - 1, 2**31 - 1), (0, 8)):
        yield f"claims {width}x{height}", png_claiming(width, height)
    for mode in ("1", "P", "LA", "RGBA", "I;16"):
        yield f"mode {mode}", png(8, 8, mode)
    for kind, mode in (("JPEG", "CMYK"), ("TIFF", "F"), ("TIFF", "I"), ("GIF", "P")):
        stream = io.BytesIO()
        Image.new(mode, (8, 8)).save(stream, kind)
        yield f"{kind} {mode}", stream.getvalue()
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG", save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    yield "animated", stream.getvalue()
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"
    yield "1x1000000", png(1, 1000000)


NAMES = (
    "/tmp/RAN.png",
    "../RAN.png",
    "a/../../RAN.png",
    "C:/RAN.png",
    "a\\..\\RAN.png",
    "a\x1b[2J.png",
    "a\nb.png",
    "a" * 5000 + ".png",
)
"""Names of members that lead elsewhere, or are none."""


def zips(image: bytes) -> Iterator[tuple[str, Content]]:
    """Archives of images."""
    whole = zip_of({"0/a.png": image, "1/b.png": image})
    yield from torn(whole)
    for name in NAMES:
        yield f"called {name[:20]!r}", zip_of({"0/a.png": image, name: image})
    yield "bomb", lambda: zip_of({"0/a.png": image, "0/b.png": bytes(2**29)}, zipfile.ZIP_DEFLATED)
    yield "nothing", zip_of({})
    yield "text", zip_of({"0/a.txt": b"hello"})
    yield "encrypted", _flagged(whole, 1)
    yield "patched", _flagged(whole, 0x20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("0/a.png", image)
        archive._didModify = True
        archive.writestr("0/b.png", image)
        archive.filelist[1].filename = "0/a.png"
    yield "twice", stream.getvalue()
    for text in ('{"labels": [["0/a.png", 1700000000], ["1/b.png", 0]]}', "[" * DEEP, '{"labels": {"0/a.png": 1}}'):
        yield f"labels {text[:50]}", zip_of({"0/a.png": image, "1/b.png": image, "dataset.json": text.encode()})
    yield "labels bomb", lambda: zip_of({"0/a.png": image, "dataset.json": b" " * 2**29}, zipfile.ZIP_DEFLATED)


def _flagged(whole: bytes, flag: int) -> bytes:
    """With a flag set in each local and central header."""
    marked = bytearray(whole)
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = marked.find(sign)
        while place >= 0:
            marked[place + offset] |= flag
            place = marked.find(sign, place + 4)
    return bytes(marked)


def tars(image: bytes) -> Iterator[tuple[str, Content]]:
    """Archives in the layout of WebDataset."""

    def made(entries: list[tuple[str, bytes, bytes]]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, kind, content in entries:
                info = tarfile.TarInfo(name)
                info.type = kind
                info.size = len(content) if kind == tarfile.REGTYPE else 0
                info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
                archive.addfile(info, io.BytesIO(content))
        return stream.getvalue()

    file = tarfile.REGTYPE
    pair = [("a.png", file, image), ("a.cls", file, b"0")]
    yield from torn(made(pair))
    for name in NAMES:
        yield f"called {name[:20]!r}", made([*pair, (name, file, image)])
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        yield f"kind {kind!r}", made([*pair, ("b.png", kind, b"")])
        yield f"class of kind {kind!r}", made([("a.png", file, image), ("a.cls", kind, b"")])
    for label in (b"1700000000", b"-1", b"x", b"1" * DEEP, b"", b"1.5", "²".encode(), bytes(10**7)):
        yield f"class {label[:12]!r}", made([("a.png", file, image), ("a.cls", file, label)])
    yield "twice", made([*pair, *pair])
    yield "nothing", made([])
    yield "text", made([("a.txt", file, b"x")])
    claims = bytearray(made(pair))
    claims[124:136] = b"77777777777\0"
    claims[148:156] = b"        "
    claims[148:156] = f"{sum(claims[:512]):06o}\0 ".encode()
    yield "claims 8 GB", bytes(claims)


def wandb_files(whole: bytes) -> Iterator[tuple[str, Content]]:
    """What an offline W&B run wrote."""
    yield from torn(whole)
    body = random.Random(1).randbytes(100)
    yield "no record", whole[:7] + struct.pack("<IHB", zlib.crc32(body, zlib.crc32(b"\x01")), len(body), 1) + body
