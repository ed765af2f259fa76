"""Foreign files end in one line that names the file, whatever is in them, without much memory or time."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from difflab.reading import FileError, parse_json, parse_yaml, read_bytes, read_json, read_text, read_yaml, shown
from difflab.reading.archives import check_inside, open_zip, read_member
from difflab.reading.arrays import parse_array, read_checkpoint, read_safetensors
from difflab.reading.json import fields


def refusal(read, *arguments) -> str:
    """The one line with which a reader refuses."""
    with pytest.raises(FileError) as refused:
        read(*arguments)
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    return text


JSON = {
    "[" * 10**5: "nested deeper",
    '{"a":' * 10**5: "nested deeper",
    "[" * 100 + "]" * 100: "nested deeper",
    f'{{"a": {"1" * 10**5}}}': "100,000 digits",
    '{"a": 1': "cut off",
    "": "cut off",
    "[1, 2]": "expected names with values",
    '"text"': "expected names with values",
    "null": "expected names with values",
    '{"a": \x1b[31m}': "no JSON",
}


@pytest.mark.parametrize("text", JSON, ids=range(len(JSON)))
def test_json(text, tmp_path):
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    said = refusal(read_json, tmp_path / "results.json")
    assert said.startswith(f"{tmp_path}/results.json")
    assert JSON[text] in said


def test_fields_are_there_and_of_their_kind():
    whole = {"step": 3, "files": {}, "loss": 1, "end": None}
    kinds = {"step": int, "files": dict, "loss": float, "end": (str, type(None))}
    assert fields(whole, "complete.json", kinds) == whole
    for name, value, said in (
        ("step", True, "step is True; expected a whole number"),
        ("step", 1.5, "expected a whole number"),
        ("files", [], "files is []; expected names with values"),
        ("end", 3, "expected a text or nothing"),
    ):
        assert said in refusal(fields, whole | {name: value}, "complete.json", kinds)
    assert "has no 'step'" in refusal(fields, {}, "complete.json", kinds)
    assert "expected names with values" in refusal(fields, [1], "complete.json", kinds)


LAUGHS = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
YAML = {
    LAUGHS: "stands for more than",
    "[" * 10**5: "nested deeper",
    "{a: " * 10**5: "nested deeper",
    "- " * 10**5: "nested deeper",
    "a: !!python/object/apply:os.system [ls]": "tag",
    "a: !secret x": "tag",
    "a: &a [*a]": "without end",
    "a: *nothing": "alias",
    "a: !!int ''": "cannot be read",
    "a: !!timestamp x": "cannot be read",
    f"a: {'1' * 10**5}": "cannot be read",
    "a: \0": "cannot be read",
    "a: [1": "cannot be read",
}


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_yaml(text, tmp_path):
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    said = refusal(read_yaml, tmp_path / "study.yaml")
    assert said.startswith(f"{tmp_path}/study.yaml")
    assert YAML[text] in said
    assert YAML[text] in refusal(parse_yaml, text, "study.yaml", yaml.SafeLoader)


def test_ordinary_aliases_stay():
    assert parse_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", "conf") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": 2},
    }
    assert parse_json('{"a": NaN}', "results.json")["a"] != 0  # as earlier versions wrote it


def test_what_is_no_file_or_no_text(tmp_path):
    (tmp_path / "latin").write_bytes(b"\xe9t\xe9")
    (tmp_path / "large").write_bytes(bytes(1001))
    assert "no regular file" in refusal(read_bytes, "/dev/zero")
    assert "cannot be read" in refusal(read_bytes, tmp_path)
    assert "cannot be read" in refusal(read_bytes, tmp_path / "missing")
    assert "larger than" in refusal(read_bytes, tmp_path / "large", 1000)
    assert "no text in UTF-8" in refusal(read_text, tmp_path / "latin")
    assert shown("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert shown(10**5000) == "a huge int"


def header(content: object, length: int | None = None, data: bytes = b"") -> bytes:
    """The bytes of a safetensors file."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "empty": b"",
    "short": b"\x01",
    "huge length": header({}, 2**60),
    "no length": header({}, 2**64 - 1),
    "brackets": header(b"[" * 10**5),
    "deep": header(b'{"a":' * 10**5 + b"1" + b"}" * 10**5),
    "list": header([]),
    "beyond": header({"a": entry([4], 0, 16)}),
    "overlap": header({"a": entry([4], 0, 16), "b": entry([4], 8, 24)}, data=bytes(24)),
    "dtype": header({"a": entry([4], 0, 16, "F99")}, data=bytes(16)),
    "negative": header({"a": entry([-4], 0, 16)}, data=bytes(16)),
    "huge": header({"a": entry([2**62, 2**62], 0, 16)}, data=bytes(16)),
    "digits": header(b'{"a":' + b"9" * 10**5 + b"}"),
    "metadata": header({"__metadata__": [1]}),
    "metadata of numbers": header({"__metadata__": {"step": 1}}),
}


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_safetensors(kind, tmp_path):
    path = tmp_path / "ema.safetensors"
    path.write_bytes(SAFETENSORS[kind])
    assert refusal(read_safetensors, path).startswith(str(path))


class Runs:
    """A pickle that would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def checkpoint_files(folder: Path) -> dict[str, bytes]:
    whole = io.BytesIO()
    torch.save({"state_dict": {"a": torch.ones(4)}}, whole)
    hostile = io.BytesIO()
    torch.save({"state_dict": Runs(folder / "ran")}, hostile)
    other, bomb = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**24))
    return {
        "empty": b"",
        "text": b"hello\n",
        "pickle": pickle.dumps(Runs(folder / "ran")),
        "hostile": hostile.getvalue(),
        "other zip": other.getvalue(),
        "bomb": bomb.getvalue(),
        "torn": whole.getvalue()[:-100],
        "torn early": whole.getvalue()[:100],
    }


@pytest.mark.parametrize("kind", ["empty", "text", "pickle", "hostile", "other zip", "bomb", "torn", "torn early"])
def test_checkpoints(kind, tmp_path):
    path = tmp_path / "step-00000001.ckpt"
    path.write_bytes(checkpoint_files(tmp_path)[kind])
    assert refusal(read_checkpoint, path).startswith(str(path))
    assert not (tmp_path / "ran").exists()


def test_whole_weights_are_read(tmp_path):
    save_file({"a": torch.arange(4.0)}, tmp_path / "a.safetensors", {"step": "1"})
    torch.save({"a": torch.arange(4.0)}, tmp_path / "a.ckpt")
    assert torch.equal(read_safetensors(tmp_path / "a.safetensors")["a"], torch.arange(4.0))
    assert torch.equal(read_checkpoint(tmp_path / "a.ckpt")["a"], torch.arange(4.0))


def npy(shape: str, descr: str = "'<f4'", data: bytes = b"", fortran: str = "False") -> bytes:
    """The bytes of a .npy file."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


NPY = {
    "empty": b"",
    "magic": b"\x93NUMPY\x09\x00",
    "huge": npy("(1000000000000000000,)"),
    "overflow": npy("(4294967296, 4294967296, 4294967296)"),
    "negative": npy("(-1,)", data=bytes(4)),
    "objects": npy("(1,)", "'|O'", data=pickle.dumps([1])),
    "truncated": npy("(4,)", data=bytes(12)),
    "longer": npy("(4,)", data=bytes(20)),
    "type": npy("(4,)", "'<q99'", data=bytes(20)),
    "brackets": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
}


@pytest.mark.parametrize("kind", NPY)
def test_npy(kind):
    assert refusal(parse_array, NPY[kind], "label.npy").startswith("label.npy")


def test_whole_arrays_are_read():
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros((0, 3)),
        np.array("x"),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        assert np.array_equal(parse_array(stream.getvalue(), "a.npy"), array)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up.png", "a/../../up.png", "C:/x.png", "c:x.png", "a\\b.png", "a\x1b[2J.png", "a\nb.png", ""],
)
def test_names_stay_inside(name):
    check_inside(["a/b.png", "a..b.png", "..a/b", "été/ü.png", "a b.png"], "set.zip")
    assert refusal(check_inside, ["a.png", name], "set.zip").startswith("set.zip")


def test_members_of_a_zip(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(10**6))
        archive.writestr("a.png", b"1234")
    with open_zip(path) as archive:
        assert read_member(archive, "a.png") == b"1234"
        assert "unpacks to more" in refusal(read_member, archive, "bomb.png", 10**5)
        assert "cannot be read" in refusal(read_member, archive, "missing.png")
    path.write_bytes(path.read_bytes()[:-10])
    assert refusal(open_zip, path).startswith(str(path))
