"""Where cells are, from directories that were made by hand."""

import fcntl
import json
import os
import time

import pytest
from filelock import FileLock
from planned import complete, folder_of, plan, start

from difflab.studies.execution import Place, Queue, states, why_no_result
from difflab.studies.execution.folder import Record, last_error
from difflab.studies.execution.queue import Submission, add_submission

EARLY, LATE = "2026-01-01T00:30:00+00:00", "2026-01-02T00:00:00+00:00"


def only(tmp_path, queue=None, **arguments):
    """The state of a study of one cell."""
    (found,) = states(plan(tmp_path, {"a": []}, **arguments), queue or Queue())
    return found


def run_of(tmp_path):
    return tmp_path / "study" / "a" / "a0"


def record(tmp_path, key="a0", **fields):
    values = {"where": "here", "pid": 1, "started": EARLY} | fields
    Record(**values).write(folder_of(plan(tmp_path, {"a": []})).record(key))


def say(tmp_path, text):
    log = folder_of(plan(tmp_path, {"a": []})).log("a", 0)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text, encoding="utf-8")


def test_nothing_is_missing_and_results_are_done(tmp_path):
    assert only(tmp_path).state == "missing"
    complete(run_of(tmp_path))
    found = only(tmp_path)
    assert (found.state, found.step, found.steps) == ("trained", 100, 100)
    complete(run_of(tmp_path), "evaluations/e0")
    assert only(tmp_path).state == "done"
    (run_of(tmp_path) / "evaluations/e0/results.json").write_text('{"measurements": [', encoding="utf-8")
    assert only(tmp_path).state == "trained", "torn results are no results"


def test_a_held_lock_is_training_with_its_progress(tmp_path):
    start(run_of(tmp_path), rows=10)
    with (run_of(tmp_path) / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 21, "eval/online/fid@9": 3.0}\n{"step": 22, "tra')
    (run_of(tmp_path) / "lock.json").write_text(json.dumps({"pid": 5, "host": "h", "since": ""}), encoding="utf-8")
    with FileLock(run_of(tmp_path) / "lock"):
        found = only(tmp_path)
    assert (found.state, found.step, found.where) == ("training", 21, "process 5 on h")
    assert found.images_per_second == 64
    assert found.seconds_left == pytest.approx((100 - 21) * 32 / 64)


def test_a_study_without_a_result_says_whether_it_runs(tmp_path):
    study = plan(tmp_path, {"a": []}, seeds=(0, 1))
    assert why_no_result(study).endswith(": launch it, or name the place by run.root=...")
    start(run_of(tmp_path), rows=10)
    with FileLock(run_of(tmp_path) / "lock"):
        assert "no result of study yet (1 training, of 2)" in why_no_result(study)


def test_a_held_task_is_training_before_there_is_a_run_and_evaluating_after(tmp_path):
    tasks = folder_of(plan(tmp_path, {"a": []})).tasks
    tasks.mkdir(parents=True)
    for key, state in (("a0", "training"), ("a0.e0", "evaluating")):
        file = os.open(tasks / f"{key}.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert only(tmp_path).state == state
        os.close(file)
        complete(run_of(tmp_path))


def test_the_queue_says_where(tmp_path):
    waiting, running = Place("job 4_0 (Priority)", False), Place("job 4_0 on n1", True)
    found = only(tmp_path, Queue({"a0": waiting}, {"a0": waiting}))
    assert (found.state, found.where) == ("queued", "job 4_0 (Priority)")
    assert only(tmp_path, Queue({"a0": running}, {"a0": waiting})).state == "training"
    complete(run_of(tmp_path))
    assert only(tmp_path, Queue({}, {"a0": waiting})).state == "queued"
    assert only(tmp_path, Queue({}, {"a0": running})).state == "evaluating"


@pytest.mark.parametrize(
    ("outcome", "state", "error"),
    [
        ("interrupted", "interrupted", ""),
        ("went back", "interrupted", ""),
        ("failed", "failed", "failed"),
        ("diverged", "failed", "diverged"),
        (None, "failed", "killed: it did not say how it ended"),
    ],
)
def test_a_run_by_hand_is_what_its_last_start_says(tmp_path, outcome, state, error):
    start(run_of(tmp_path), outcome, rows=3)
    found = only(tmp_path)
    assert (found.state, found.error, found.step) == (state, error, 6)
    assert found.diverged == (outcome == "diverged")


def test_the_pool_has_seen_how_its_tasks_ended(tmp_path):
    say(tmp_path, "--- start of a0\nOSError: of old\n--- start of a0\nTraceback\nValueError: bad\nsome more\n")
    for outcome, fields, expected in [
        (None, {"exit_code": 2, "error": "error: no key x"}, ("failed", "error: no key x")),
        (None, {"exit_code": 1}, ("failed", "ValueError: bad")),
        (None, {"exit_code": -9, "error": "killed by SIGKILL"}, ("failed", "killed by SIGKILL")),
        (None, {"exit_code": -9, "cancelled": True}, ("interrupted", "")),
        (None, {"ended": ""}, ("interrupted", "")),  # killed together with its supervisor
        ("interrupted", {"exit_code": 75}, ("interrupted", "")),
        ("diverged", {"exit_code": 3, "error": "loss is nan"}, ("failed", "diverged: loss is nan")),
    ]:
        start(run_of(tmp_path), outcome)
        record(tmp_path, **({"ended": LATE} | fields))
        found = only(tmp_path)
        assert (found.state, found.error) == expected, fields
    start(run_of(tmp_path), "complete")
    record(tmp_path, ended=LATE, exit_code=0)
    assert "is not complete" in only(tmp_path).error


def test_a_run_that_somebody_went_on_with_is_judged_by_that(tmp_path):
    record(tmp_path, ended=EARLY, exit_code=1, error="x")
    start(run_of(tmp_path), "interrupted", started=LATE)
    assert only(tmp_path).state == "interrupted"


def test_what_never_began_has_failed_only_if_it_was_tried(tmp_path):
    record(tmp_path, ended=LATE, exit_code=2, error="error: x")
    assert only(tmp_path).state == "failed"
    record(tmp_path, ended=LATE, exit_code=-15, cancelled=True)
    assert only(tmp_path).state == "missing"


def test_a_failed_evaluation(tmp_path):
    complete(run_of(tmp_path))
    record(tmp_path, "a0.e0", ended=LATE, exit_code=2, error="error: no extractor")
    assert only(tmp_path).error == "error: no extractor"
    record(tmp_path, "a0.e0", ended=LATE, exit_code=75)
    assert only(tmp_path).state == "trained"


def test_a_job_that_is_gone(tmp_path, monkeypatch):
    where = folder_of(plan(tmp_path, {"a": []}))
    add_submission(where, Submission("12", "train", LATE, {"0": "a0"}))
    assert only(tmp_path).state == "missing", "cancelled while it waited"
    say(tmp_path, "--- start 0 of job 12_0 on n1 at x\nerror: bad key\nsrun: error\n--- start 0 of job 12_0: wrong\n")
    found = only(tmp_path)
    assert (found.state, found.error) == ("failed", "error: bad key")
    start(run_of(tmp_path), "interrupted")
    assert only(tmp_path).state == "interrupted"
    record(tmp_path, ended=EARLY, exit_code=1, error="of the pool, before")
    start(run_of(tmp_path), "failed")
    assert only(tmp_path).error == "error: bad key"


def test_the_last_error_is_of_the_last_start(tmp_path):
    log = tmp_path / "log"
    assert last_error(log) == ""
    log.write_text("--- start of a\nKeyError: 'old'\n--- start of a\nall is well\n\n", encoding="utf-8")
    assert last_error(log) == "all is well"
    log.write_text("x" * 100_000 + "\n  torch.OutOfMemoryError: CUDA out of memory\nwandb: bye\n", encoding="utf-8")
    assert last_error(log) == "torch.OutOfMemoryError: CUDA out of memory"


def test_rows_that_share_a_training(tmp_path):
    both = plan(tmp_path, {"a": []}, shared=("b",))
    complete(run_of(tmp_path), "evaluations/e1")
    assert [cell.state for cell in states(both, Queue())] == ["trained", "done"]


def test_the_newest_attempt_counts(tmp_path):
    complete(run_of(tmp_path), "evaluations/e0")
    start(run_of(tmp_path).with_name("a0-2"), "interrupted")
    assert only(tmp_path).state == "interrupted"


def test_a_thousand_cells(tmp_path, capsys):
    big = plan(tmp_path, {f"r{i}": [] for i in range(100)}, seeds=range(10))
    line = json.dumps({"step": 100, "train/images_per_second": 64.0} | {f"train/q{i}": 0.1234567 for i in range(25)})
    for i, training in enumerate(big.trainings):
        complete(training.directory, *(["evaluations/e0"] if i % 2 else []))
        (training.directory / "metrics.jsonl").write_text((line + "\n") * 300, encoding="utf-8")
        if i % 4 == 0:
            (training.directory / "complete.json").unlink()
    began = time.perf_counter()
    found = states(big, Queue())
    with capsys.disabled():
        print(f"\n1,000 cells: {time.perf_counter() - began:.2f} s")
    assert sum(cell.state == "done" for cell in found) == 500


def test_a_run_that_somebody_has_deleted_is_missing_and_one_that_went_elsewhere_is_not(tmp_path):
    record(tmp_path, ended=LATE, exit_code=0)
    assert only(tmp_path).state == "missing"
    other = run_of(tmp_path).with_name("f00")
    other.mkdir(parents=True)
    (other / "config.yaml").touch()
    assert "is not complete" in only(tmp_path).error
