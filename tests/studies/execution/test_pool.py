"""The local pool: nothing twice, nothing lost, and what ends a task early."""

import json
import os
import platform
import pty
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from planned import folder_of, forked, identified, plan
from stand_in import install

from difflab.runs import RunDirectory
from difflab.studies.execution import LaunchError, Pool, StudyFolder, ask, launch, retry, states
from difflab.studies.execution.folder import read_record
from difflab.studies.execution.queue import PoolFile
from difflab.studies.execution.tasks import read_tasks
from difflab.studies.execution.worker import gpus, share, work
from running import SMALL


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    install(tmp_path / "python")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "python"))


@pytest.fixture
def ending(tmp_path):
    """Whatever a test leaves running is ended."""
    yield
    Pool(grace=0.5).cancel(tmp_path / "study")


class Here(Pool):
    """A pool whose one worker is this process."""

    def submit(self, root, trainings, evaluations):
        PoolFile(self.jobs, waiting=[task.key for task in (*trainings, *evaluations)]).write(StudyFolder(root))
        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        work(root, 0, [])
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
        return []


def now(plan):
    return {f"{cell.row}{cell.seed}": cell.state for cell in states(plan, ask(plan.root))}


def until(condition, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def starts(root: Path) -> list[str]:
    return (root / "starts").read_text(encoding="utf-8").splitlines() if (root / "starts").exists() else []


def test_each_training_is_followed_by_its_evaluations(tmp_path, stand_in):
    study = plan(tmp_path, {"a": [], "b": []}, seeds=(0, 1), shared=("c",))
    found = launch(study, Here(2))
    assert [one.why for one in found.submitted] == ["missing"] * 4
    assert set(now(study).values()) == {"done"}
    counts = [line.split()[0] for line in starts(tmp_path)]
    assert (counts.count("train"), counts.count("evaluate")) == (4, 6)
    again = launch(study, Here(2))
    assert (again.submitted, {one.why for one in again.skipped}) == ([], {"done"})


def test_a_row_that_is_added_is_all_that_is_run(tmp_path, stand_in):
    launch(plan(tmp_path, {"b": []}), Here())
    wider = plan(tmp_path, {"a": [], "b": []}, shared=("c",))
    assert [one.training for one in launch(wider, Here()).submitted] == ["a0"]
    launch(plan(tmp_path, {"d": []}), Here())
    extra = plan(tmp_path, {"b": [], "a": []}, shared=("e", "c"))
    assert [(one.training, one.what) for one in launch(extra, Here()).submitted] == [("b0", "evaluate")]
    assert len(starts(tmp_path)) == 2 + 3 + 2 + 2  # b; a with c; d; b with e and c


def test_what_goes_on_from_a_training_waits_for_its_end(tmp_path, stand_in):
    study = forked(plan(tmp_path, {"a": [], "b": []}, seeds=(0,)))
    launch(study, Here(2))
    assert set(now(study).values()) == {"done"}
    assert [line.split()[0] for line in starts(tmp_path)].count("train") == 3
    assert read_tasks(study.root)["trunk0"].is_complete()
    first = read_record(folder_of(study).record("trunk0"))
    assert first
    assert all(first.ended <= read_record(folder_of(study).record(key)).started for key in ("a0", "b0"))
    wider = forked(plan(tmp_path, {"a": [], "b": [], "c": []}, seeds=(0,)))
    launch(wider, Here(2))
    assert [line.split()[0] for line in starts(tmp_path)].count("train") == 4, "the trunk is there"


def test_nothing_waits_for_a_trunk_that_has_failed(tmp_path, stand_in):
    study = forked(plan(tmp_path, {"a": [], "b": []}, seeds=(0,)), ways="1,ok")
    launch(study, Here(2))
    found = {cell.row: cell for cell in states(study, ask(study.root))}
    assert [found[row].state for row in "ab"] == ["failed", "failed"]
    assert found["a"].error == "the training before it: RuntimeError: way 1"
    assert len(starts(tmp_path)) == 1
    retry(study, Here(2))
    assert set(now(study).values()) == {"done"}


def test_interrupted_tasks_go_on_as_long_as_they_get_on(tmp_path, stand_in):
    study = plan(tmp_path, {"a": ["ways=status75,status75,status75,ok"], "b": ["ways=idle75"]})
    launch(study, Here())
    assert now(study) == {"a0": "done", "b0": "interrupted"}
    assert len([line for line in starts(tmp_path) if line.startswith("train")]) == 4 + 3


def test_failures_are_left_to_retry_and_divergence_to_an_override(tmp_path, stand_in):
    study = plan(tmp_path, {"a": ["ways=1,ok"], "b": ["ways=3,ok"], "c": []})
    launch(study, Here())
    found = {cell.row: cell for cell in states(study, ask(study.root))}
    assert [found[row].state for row in "abc"] == ["failed", "failed", "done"]
    assert found["a"].error == "RuntimeError: way 1"
    assert found["b"].diverged
    record = read_record(folder_of(study).record("a0"))
    assert record
    assert (record.exit_code, record.error, record.where) == (1, "RuntimeError: way 1", platform.node())
    left = launch(study, Here())
    assert left.submitted == []
    assert "RuntimeError: way 1" in left.skipped[0].why
    first = retry(study, Here())
    assert [one.row for one in first.submitted] == ["a"]
    assert "divergence=go_back" in first.skipped[0].why
    second = retry(study, Here(), ["divergence=go_back"])
    assert [one.row for one in second.submitted] == ["b"]
    assert read_tasks(study.root)["b0"].arguments[-1] == "divergence=go_back"
    assert read_tasks(study.root)["a0"].arguments[-1] != "divergence=go_back"
    assert set(now(study).values()) == {"done"}


def test_a_failed_evaluation_is_begun_again_by_retry_alone(tmp_path, stand_in):
    bad = plan(tmp_path, {"a": []}, evaluation=("fail=1",))
    launch(bad, Here())
    (cell,) = states(bad, ask(bad.root))
    assert (cell.state, cell.error) == ("failed", "error: cannot evaluate")
    assert launch(bad, Here()).submitted == []
    assert [one.what for one in retry(plan(tmp_path, {"a": []}), Here()).submitted] == ["evaluate"]
    assert now(bad) == {"a0": "done"}


def test_tasks_share_processors_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    assert [share(0, jobs, [])["OMP_NUM_THREADS"] for jobs in (1, 3, 16)] == ["8", "2", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert share(0, 2, [])["OMP_NUM_THREADS"] == "5"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,GPU-7")
    assert gpus() == ["2", "5", "GPU-7"]
    assert [share(slot, 4, gpus())["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["2", "5", "GPU-7", "2"]
    assert share(0, 1, gpus())["CUDA_VISIBLE_DEVICES"] == "2,5,GPU-7"
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    assert not [name for name in share(0, 1, []) if name.startswith("SUBMITIT")]


def test_killed_workers_a_second_launch_and_cancel(tmp_path, stand_in, ending):
    """One story, since workers take a moment to begin."""
    study = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"], "c": ["ways=stubborn,ok"]})
    first = launch(study, Pool(1))
    assert "pool started" in first.said[0]
    until(lambda: now(study) == {"a0": "training", "b0": "queued", "c0": "queued"} and _step(study) == 7)
    (worker,) = PoolFile.read(folder_of(study)).pids.values()
    assert os.getsid(worker) == worker != os.getsid(0)

    more = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"], "c": ["ways=stubborn,ok"], "d": []})
    second = launch(more, Pool(1))
    assert "handed 1 tasks to the pool that is at work" in second.said[0]
    assert [one.why for one in second.skipped] == ["in the queue: pool"] * 3

    os.kill(worker, signal.SIGKILL)
    until(lambda: now(more)["b0"] == "missing")
    assert now(more)["a0"] == "training", "its task lives on"
    third = launch(more, Pool(3, grace=2))  # a takes one of the places
    assert [(one.row, one.what) for one in third.submitted] == [(row, "train") for row in "abcd"]
    until(lambda: now(more) == {"a0": "training", "b0": "training", "c0": "training", "d0": "queued"})
    until(lambda: len(starts(tmp_path)) >= 3)
    assert len(starts(tmp_path)) == 3, "a is not begun twice"
    assert "1 tasks that an earlier pool had left" in " ".join(Pool(2, grace=2).cancel(more.root))
    assert now(more) == {"a0": "interrupted", "b0": "interrupted", "c0": "interrupted", "d0": "missing"}
    assert read_record(folder_of(more).record("c0")).exit_code == -signal.SIGKILL  # type: ignore[union-attr]
    assert Pool().cancel(more.root) == []

    launch(more, Here(4))
    assert set(now(more).values()) == {"done"}


def test_a_closed_terminal_ends_no_run(tmp_path, stand_in, ending):
    """The launch runs in a terminal of its own, in a folder with a space, and the terminal is closed while its run trains."""
    study = plan(tmp_path / "my runs ü", {"a": ["ways=slow,ok"]})
    study.root.mkdir(parents=True)
    program = f"""
import signal, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
from pathlib import Path
from planned import plan
from difflab.studies.execution import Pool, launch
print(launch(plan(Path({str(study.root.parent)!r}), {{"a": ["ways=slow,ok"]}}), Pool()).said, flush=True)
signal.pause()
"""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where nohup began the tests
        os.execv(sys.executable, [sys.executable, "-c", program])
    try:
        until(lambda: now(study) == {"a0": "training"} and _step(study) == 7)
        os.close(terminal)  # SIGHUP to everything in its session
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGHUP
        time.sleep(0.5)
        assert now(study) == {"a0": "training"}
        assert PoolFile.read(folder_of(study)).lives
    finally:
        Pool(grace=2).cancel(study.root)
    assert now(study) == {"a0": "interrupted"}


def test_a_pool_of_an_earlier_version(tmp_path):
    """One process with a lock of its own, that knows its tasks from a file with other keys."""
    study = plan(tmp_path, {"a": [], "b": [], "c": []})
    folder = folder_of(study)
    folder.path.mkdir(parents=True)
    hold = f"""
import fcntl, os, signal
file = os.open({str(folder.path / "supervisor.lock")!r}, os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()
"""
    earlier = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE)
    assert earlier.stdout
    assert earlier.stdout.readline() == b"held\n"
    content = {
        "jobs": 1,
        "grace": 9.0,
        "waiting": ["b0"],
        "running": ["a0"],
        "pid": earlier.pid,
        "host": platform.node(),
    }
    folder.pool.write_text(json.dumps(content), encoding="utf-8")
    try:
        assert now(study) == {"a0": "training", "b0": "queued", "c0": "missing"}
        with pytest.raises(
            LaunchError, match=f"earlier version of difflab works on the study \\(process {earlier.pid}\\)"
        ):
            launch(study, Pool())
        threading.Thread(target=earlier.wait).start()  # it is nobody's zombie
        assert Pool().cancel(study.root) == ["stopped the pool: 1 tasks were running, 1 waiting"]
    finally:
        earlier.kill()
    assert now(study) == {"a0": "missing", "b0": "missing", "c0": "missing"}


def test_a_pool_that_cannot_start_says_why(tmp_path, stand_in, monkeypatch):
    (tmp_path / "python" / "submitit.py").write_text("raise RuntimeError('no submitit')", encoding="utf-8")
    with pytest.raises(LaunchError, match="the pool did not start: RuntimeError: no submitit"):
        launch(plan(tmp_path, {"a": []}), Pool())


def test_two_launches_at_once_begin_nothing_twice(tmp_path, stand_in, ending):
    study = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"]})
    with ThreadPoolExecutor() as both:
        found = [one.result() for one in [both.submit(launch, study, Pool(2)) for _ in range(2)]]
    assert sorted(len(one.submitted) for one in found) == [0, 2]
    until(lambda: now(study) == {"a0": "training", "b0": "training"} and len(starts(tmp_path)) >= 2)
    assert len(PoolFile.read(folder_of(study)).pids) == 2
    assert len(starts(tmp_path)) == 2


def test_fewer_jobs_let_go_of_a_place_when_its_task_has_ended(tmp_path, stand_in, ending):
    study = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"]})
    launch(study, Pool(2))
    until(lambda: now(study) == {"a0": "training", "b0": "training"} and len(starts(tmp_path)) == 2)
    wider = plan(tmp_path, {"a": [], "b": [], "c": ["ways=slow,ok"]})
    launch(wider, Pool(1))
    (second,) = (pid for slot, pid in PoolFile.read(folder_of(study)).pids.items() if slot == "1")
    os.kill(second, signal.SIGTERM)
    until(lambda: now(wider)["b0"] == "interrupted")
    time.sleep(0.5)
    assert now(wider)["c0"] == "queued", "one is at work, and one at a time was asked for"


def _step(study):
    return states(study, ask(study.root))[0].step


@pytest.mark.slow
def test_real_runs(tmp_path, ending):
    """One is stopped and goes on, to its evaluation; the other has a wrong override."""
    line = [*SMALL, "trainer.max_steps=150", "eval.every=150"]
    measure = ("num_samples=64", "batch_size=32", "accelerator=cpu", "replicates=0", "metric=[frechet]")
    study = identified(plan(tmp_path, {"a": line}, steps=150, evaluation=measure))
    wrong = plan(tmp_path, {"a": line, "wrong": [*line, "network.widht=3"]}, steps=150, evaluation=measure)
    study = replace(wrong, trainings=(study.trainings[0], wrong.trainings[1]))
    launch(study, Pool(2))
    until(lambda: now(study)["wrong0"] == "failed" and states(study, ask(study.root))[0].step > 2)
    Pool(2).cancel(study.root)
    run = RunDirectory(study.training(study.cells[0]).directory)
    assert now(study)["a0"] in ("interrupted", "trained")
    again = launch(study, Pool(2))
    assert [one.row for one in again.submitted] == ["a"]
    until(lambda: now(study) == {"a0": "done", "wrong0": "failed"})
    first, *_, last = run.starts()
    assert first["outcome"] == "interrupted"
    assert (last["outcome"], last["from_step"]) == ("complete", first["to_step"])
    error = states(study, ask(study.root))[1].error
    assert error.startswith("error: ")
    assert "did you mean" in error or "width" in error


def test_a_training_whose_run_is_nowhere_has_failed_aloud(tmp_path, stand_in):
    """It ends well, elsewhere than the study looks: evaluations that can never be due are no study that is to be done."""
    study = plan(tmp_path, {"a": []})
    (tmp_path / "other").mkdir()
    (training,) = study.trainings
    lost = replace(study, trainings=(replace(training, overrides=(*training.overrides, f"run.root={tmp_path}/other")),))
    launch(lost, Here())
    (cell,) = states(lost, ask(lost.root))
    assert cell.state == "failed"
    assert f"there is no complete run in {study.root / 'a' / 'seed0-a0'}" in cell.error
    assert [line.split()[0] for line in starts(tmp_path / "other")] == ["train"]
