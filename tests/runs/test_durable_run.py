"""What a run has written is on the disk in order, for others to read, and a run that cannot write or is moved away says so."""

import os
import re
import shutil
import stat
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from difflab.cli.train import train
from difflab.runs import RunDirectory, RunLock, info
from difflab.runs.info import as_text
from running import SHORT, SMALL, composed, train_small
from small_disk import files_of_at_most


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[RunDirectory, list[tuple[str, Path]]]:
    """A run with its flushes and renames in the order in which they came."""
    seen: list[tuple[str, Path]] = []
    fsync, replace = os.fsync, os.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: (seen.append(("flush", opened(file))), fsync(file))[1])
        patch.setattr(os, "replace", lambda a, b: (seen.append(("name", Path(b))), replace(a, b))[1])
        before = os.umask(0o022)
        try:
            run = train_small(tmp_path_factory.mktemp("runs") / "a b", *SHORT).run
        finally:
            os.umask(before)
    return run, seen


def opened(file: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{file}")) if Path("/proc/self/fd").exists() else Path()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")
def test_a_run_that_is_marked_complete_has_all_its_results_on_the_disk(finished):
    run, seen = finished
    marked = seen.index(("name", run.complete))
    before = seen[:marked]
    results = [
        run.config,
        run.protocol,
        run.provenance,
        *run.weights.iterdir(),
        *run.checkpoints.glob("*.ckpt"),
        *run.samples.iterdir(),
    ]
    assert len(results) > 8
    for path in results:
        named = [i for i, event in enumerate(before) if event == ("name", path)]
        assert named, f"{path.name} was written in another way"
        last = named[-1]
        assert before[last - 1][0] == "flush", f"{path.name}: its content is flushed before it has its name"
        assert ("flush", path.parent) in before[last:], f"{path.name}: its name is flushed before the mark"
    assert before[-1] == ("flush", opened_as_written(seen, marked))
    assert seen[marked + 1] == ("flush", run.path)
    last_checkpoint = max(i for i, event in enumerate(before) if event[0] == "name" and event[1].suffix == ".ckpt")
    assert ("flush", run.metrics) in before[:last_checkpoint], "no line is missing that the checkpoint has behind it"


def opened_as_written(seen: list[tuple[str, Path]], marked: int) -> Path:
    path = seen[marked - 1][1]
    assert path.name.startswith(".writing-complete.json")
    return path


def test_others_may_read_what_the_umask_lets_them_read(finished):
    run, _ = finished
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.path.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o644}, modes


def test_nothing_half_written_is_left(finished):
    run, _ = finished
    assert not list(run.path.rglob(".writing-*"))


def as_somebody_else(work: Callable[[], None]) -> int:
    """Does something as a user who owns nothing of the tests (root would be let in everywhere); 0 if it went well."""
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_run_of_somebody_else_that_may_only_be_read_is_told_of(tmp_path, finished):
    run = RunDirectory(shutil.copytree(finished[0].path, tmp_path / "run"))
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)
    for path in [run.path, *run.path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o644 if path.name == "lock" else 0o444)
    info(run.path)  # what it imports lies where another user may not read

    def told() -> None:
        with pytest.raises(PermissionError):
            (run.path / "new").touch()
        assert "status    complete" in as_text(info(run.path))
        assert not RunLock(run.path).is_held()

    assert as_somebody_else(told) == 0
    run.path.chmod(0o755)
    holding = RunLock(run.path)
    holding.acquire()
    try:
        assert as_somebody_else(lambda: None if RunLock(run.path).is_held() else os._exit(1)) == 0
    finally:
        holding.release()


def ending(capsys: pytest.CaptureFixture[str], root: Path, *overrides: str) -> tuple[object, str]:
    """(exit status, the standard error) of a training that is to fail."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        train(composed("train", *SMALL, *SHORT, f"run.root={root}", *overrides))
    return ended.value.code, capsys.readouterr().err


def test_a_full_disk_is_one_line_that_names_the_file_and_the_run_goes_on_afterwards(tmp_path, capsys, finished):
    for largest, status, file in [
        (0, 2, "lock.json"),
        (1000, 2, "config.yaml"),
        (20_000, 4, r"step-00000002\.ckpt"),
    ]:
        with files_of_at_most(largest):
            code, said = ending(capsys, tmp_path)
        (line,) = [line for line in said.splitlines() if "could not write" in line]
        assert code == status, said
        assert re.search(rf"could not write \S+{file} .*MB free", line)
    run = train_small(tmp_path, *SHORT).run
    assert not list(run.path.rglob(".writing-*"))
    assert info(run.path)["weights_sha256"] == info(finished[0].path)["weights_sha256"]


def test_a_run_that_is_renamed_while_it_trains_ends_at_once(tmp_path, capsys):
    def rename() -> None:
        while not (checkpoints := list(tmp_path.glob("*/*/checkpoints/*.ckpt"))):
            time.sleep(0.01)
        checkpoints[0].parents[1].rename(tmp_path / "renamed")

    thread = threading.Thread(target=rename)
    thread.start()
    code, said = ending(capsys, tmp_path, "trainer.max_steps=100000", "eval.every=100000", "checkpoint.every=20")
    thread.join()
    assert code == 4
    assert "was renamed or removed" in said.splitlines()[-1]
