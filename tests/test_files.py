"""Files are there complete or not at all, on the disk, in order, and for whom the umask lets."""

import errno
import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from difflab import files
from difflab.files import WriteError, append_text, atomic_file, atomic_folder, link, write_bytes, write_json, write_text
from small_disk import files_of_at_most


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(flush, file or folder) and (name, file) in the order in which they happen."""
    seen: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda file: (seen.append(("flush", Path(f"/proc/self/fd/{file}").resolve().name)), fsync(file))[1]
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(("name", Path(b).name)), replace(a, b))[1])
    return seen


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")
def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_next_file(tmp_path, monkeypatch):
    seen = recorded(monkeypatch)
    write_text(tmp_path / "new" / "weights", "w")
    write_json(tmp_path / "complete.json", {"step": 1})
    temporary = [name for _, name in seen if name.startswith(".writing-")]
    assert seen == [
        ("flush", tmp_path.name),  # which names the new folder
        ("flush", temporary[0]),
        ("name", "weights"),
        ("flush", "new"),
        ("flush", temporary[1]),
        ("name", "complete.json"),
        ("flush", tmp_path.name),
    ]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_says_who_may_read(tmp_path, umask, expected):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "x")
        with atomic_file(tmp_path / "weights.safetensors") as path:
            save_file({"a": torch.zeros(2)}, path)
            path.chmod(0o600)  # as some versions of the library leave it
        append_text(tmp_path / "log", "x")
    finally:
        os.umask(before)
    assert {mode(path) for path in tmp_path.iterdir()} == {expected}


def test_a_write_that_finds_no_room_leaves_what_was_there_and_says_which_file_and_how_much_is_free(tmp_path):
    path = tmp_path / "config.yaml"
    write_text(path, "before")
    with files_of_at_most(1000):
        with pytest.raises(
            WriteError, match=r"could not write \S+config.yaml \(File too large; [\d.]+ MB free"
        ) as error:
            write_bytes(path, bytes(5000))
        with pytest.raises(WriteError), atomic_folder(tmp_path / "images") as folder:
            (folder / "a").write_bytes(bytes(5000))
    assert error.value.errno == errno.EFBIG
    assert "\n" not in str(error.value)
    assert path.read_text(encoding="utf-8") == "before"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_line_for_which_there_is_no_room_is_not_there_in_part(tmp_path):
    log = tmp_path / "metrics.jsonl"
    append_text(log, "first\n")
    with files_of_at_most(10), pytest.raises(WriteError):
        append_text(log, "a second line\n")
    append_text(log, "third\n")
    assert log.read_text(encoding="utf-8") == "first\nthird\n"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ValueError])
def test_what_ends_the_writing_leaves_nothing(tmp_path, ending):
    write_text(tmp_path / "a", "before")
    with pytest.raises(ending), atomic_file(tmp_path / "a") as path:  # noqa: PT012
        path.write_text("half", encoding="utf-8")
        raise ending
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "before"


def test_an_error_of_what_is_read_meanwhile_is_not_one_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        (tmp_path / "missing").read_bytes()


def write_often(path: Path, who: int) -> None:
    for i in range(40):
        write_json(path, {"who": who, "i": i, "long": "x" * 5000})


def test_processes_that_write_one_file_do_not_mix(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {})
    writers = [multiprocessing.get_context("fork").Process(target=write_often, args=(path, k)) for k in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        json.loads(path.read_text(encoding="utf-8"))
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_file_that_is_being_written_is_taken_for_no_result_and_removed_when_its_writer_was_killed(tmp_path):
    with atomic_file(tmp_path / "step-00000010.ckpt") as path:
        assert path.parent == tmp_path
        assert not list(tmp_path.glob("*.ckpt"))
        os.link(path, tmp_path / f"{path.name}-of-a-killed-process")
    (tmp_path / ".writing-folder").mkdir()
    files.clear_remains(tmp_path)
    assert os.listdir(tmp_path) == ["step-00000010.ckpt"]


def test_file_systems_that_cannot_flush_are_written_to_all_the_same(tmp_path, monkeypatch):
    def refused(file: int) -> None:
        raise OSError(errno.EINVAL, "not supported")

    monkeypatch.setattr(os, "fsync", refused)
    write_text(tmp_path / "a", "x")
    with atomic_folder(tmp_path / "images") as folder:
        (folder / "b").write_bytes(b"y")
    assert (tmp_path / "images" / "b").read_bytes() == b"y"


def test_a_disk_that_fails_while_it_is_flushed_is_an_error(tmp_path, monkeypatch):
    def failing(file: int) -> None:
        raise OSError(errno.EIO, "failing")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteError, match="Input/output error"):
        write_text(tmp_path / "a", "x")
    assert not os.listdir(tmp_path)


def test_the_longest_name_has_room(tmp_path):
    for name in ("a" * 255, "ä" * 127):
        write_text(tmp_path / name, "x")
    assert len(os.listdir(tmp_path)) == 2


def test_a_folder_takes_the_place_of_another(tmp_path):
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "images") as folder:
            (folder / "nested").mkdir()
            (folder / "nested" / content).write_text(content, encoding="utf-8")
    assert [path.name for path in (tmp_path / "images" / "nested").iterdir()] == ["new"]
    assert os.listdir(tmp_path) == ["images"]


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_replaces_the_former(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda a, b: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
    for content in ("1", "2", "2"):
        write_text(tmp_path / "step", content)
        link(tmp_path / "step", tmp_path / "best")
        link(tmp_path / "step", tmp_path / "best")
        assert (tmp_path / "best").read_text(encoding="utf-8") == content
    assert sorted(os.listdir(tmp_path)) == ["best", "step"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file" / "a", tmp_path / ("n" * 300) / "a"):
        with pytest.raises(WriteError, match=f"could not write {path.parent}"):
            write_text(path, "x")
