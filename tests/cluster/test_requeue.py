"""What is decided when a start of a job has ended."""

import json
import sys

import pytest

from difflab.cluster.attempts import (
    Attempt,
    ProcessEnd,
    describe,
    ends_recorded,
    first_death,
    process_ends,
    record_end,
    record_run,
)
from difflab.cluster.requeue import decide, main, shell
from running import train_small

KILLED = "srun: error: node2: task 1: Killed\nsrun: Terminating StepId=1.0\nsrun: error: node1: task 0: Exited with exit code 1\n"


def attempt(
    step: int | None = 5, checkpoint: int = 0, failed: bool = True, node: str = "node1", reason: str = "ValueError"
):
    return Attempt(failed, step, checkpoint, node, reason)


def end(rank: int, exit_code: int, step: int | None = None, error: str = "") -> ProcessEnd:
    return ProcessEnd(rank, f"node{rank + 1}", exit_code, step, error)


@pytest.mark.parametrize(("status", "ends"), [(0, []), (0, [end(0, 0), end(1, 0)]), (137, [])])
def test_a_complete_run_is_not_started_again(status, ends):
    verdict = decide(status, status != 0, ends, attempt(), [])
    assert (verdict.again, verdict.status) == (False, 0)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_hopeless_command_is_not_started_again(code):
    """Also if srun's own status is that of a process that it has ended for it."""
    verdict = decide(143, False, [end(0, code)], attempt(), [])
    assert (verdict.again, verdict.status) == (False, code)


@pytest.mark.parametrize("status", [75, 137, 143])
def test_an_interrupted_run_starts_again_whatever_srun_says(status, tmp_path):
    ends = [end(0, 75), end(1, 0)]
    now = describe(tmp_path, 0, status, ends, checkpoint=5)
    assert not now.failed
    verdict = decide(status, False, ends, now, [attempt(failed=False, checkpoint=3)] * 4)
    assert (verdict.again, verdict.exclude) == (True, ())


def test_the_second_failure_at_a_step_is_the_last():
    first = attempt(step=7, checkpoint=3)
    assert decide(1, False, [], first, []).again
    between = attempt(step=9, checkpoint=8, failed=False)
    verdict = decide(1, False, [], attempt(step=7, checkpoint=6), [first, between])
    assert not verdict.again
    assert verdict.status == 1
    assert "step 7" in verdict.message
    assert decide(1, False, [], attempt(step=8, checkpoint=6), [first, between]).again


def test_starts_without_a_new_checkpoint_come_to_an_end():
    """A failure at ever other steps."""
    before = [attempt(step=13, checkpoint=10), attempt(step=12, checkpoint=10)]
    assert not decide(1, False, [], attempt(step=11, checkpoint=10), before).again
    assert decide(1, False, [], attempt(step=25, checkpoint=20), before).again


def test_a_failure_before_the_first_step_is_tried_again_and_no_more():
    now = attempt(step=None, checkpoint=-1)
    assert decide(1, False, [], now, []).again
    assert decide(1, False, [], now, [now]).again
    assert not decide(1, False, [], now, [now, now]).again


def test_the_first_process_that_died_is_found(tmp_path):
    """The other one failed because of it, and has more to say."""
    folder = tmp_path / "attempts" / "0"
    folder.mkdir(parents=True)
    (folder / "errors").write_text("Traceback ...\n" + KILLED, encoding="utf-8")
    now = describe(tmp_path, 0, 137, [end(0, 1, 12, "RuntimeError: Connection closed by peer")], checkpoint=10)
    assert now == Attempt(True, 12, 10, "node2", "Killed")
    verdict = decide(
        137, False, [], now, [attempt(step=3, node="node3", reason="ECC error: uncorrectable"), attempt(step=4)]
    )
    assert verdict.exclude == ("node3", "node2")


def test_a_program_that_fails_is_not_its_nodes_fault(tmp_path):
    folder = tmp_path / "attempts" / "0"
    folder.mkdir(parents=True)
    (folder / "errors").write_text("srun: error: node2: task 1: Exited with exit code 1\n", encoding="utf-8")
    now = describe(tmp_path, 0, 1, [end(0, 143), end(1, 1, 12, "ValueError: wrong")], checkpoint=10)
    assert (now.node, now.reason, now.step) == ("node2", "ValueError: wrong", 12)
    assert decide(1, False, [], now, []).exclude == ()


def test_several_that_die_at_once_accuse_nobody():
    assert first_death("srun: error: node[1-2]: tasks 0-1: Killed\n") == ("", 0, "Killed")
    assert first_death("nothing of that\n") == ("", None, "")


@pytest.fixture
def job(tmp_path, monkeypatch):
    folder = tmp_path / "jobs" / "12"
    folder.mkdir(parents=True)
    for key, value in {
        "DIFFLAB_JOB": str(folder),
        "SLURM_JOB_ID": "12",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "0",
        "SLURMD_NODENAME": "node2",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    return folder


def test_the_first_word_of_a_process_counts(job):
    record_end(1, 7, "cause")
    with pytest.raises(SystemExit), ends_recorded():
        sys.exit(2)
    assert process_ends(job, 0) == [ProcessEnd(1, "node2", 1, 7, "cause")]


@pytest.mark.parametrize(
    ("raised", "code"), [(SystemExit(75), 75), (SystemExit("words"), 1), (MemoryError("all gone"), 1)]
)
def test_how_a_process_ends_is_recorded(job, raised, code):
    with pytest.raises(type(raised)), ends_recorded():
        raise raised
    (end,) = process_ends(job, 0)
    assert end.exit_code == code
    assert ("all gone" in end.error) == isinstance(raised, MemoryError)


def test_outside_of_a_job_nothing_is_written(job, monkeypatch, tmp_path):
    monkeypatch.delenv("DIFFLAB_JOB")
    with ends_recorded():
        record_run(tmp_path)
    assert not list(job.iterdir())


def said_by(main_, capsys, monkeypatch, status: str, restarts: int) -> tuple[list[str], str]:
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    monkeypatch.setattr("sys.argv", ["verdict", status])
    main_()
    out = capsys.readouterr()
    return out.out.splitlines(), out.err


def test_the_batch_script_is_told_what_to_do(job, tmp_path, capsys, monkeypatch):
    """Interrupted, then twice the same failure."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    record_run(run)
    lines, _ = said_by(main, capsys, monkeypatch, "75", 0)
    assert "scontrol requeue 12 || exit 75" in lines
    for restarts in (1, 2):
        (run / "checkpoints" / f"step-0000001{restarts}.ckpt").touch()
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
        record_end(1, 17, "KeyError: 'x'")
        lines, said = said_by(main, capsys, monkeypatch, "1", restarts)
    assert lines == ["exit 1"]
    assert "giving up" in said
    assert "KeyError: 'x'" in said
    assert [row["step"] for row in json.loads((job / "history.json").read_text(encoding="utf-8"))] == [None, 17, 17]
    lines, _ = said_by(main, capsys, monkeypatch, "1", 0)  # another job of the same number has no past
    assert len(json.loads((job / "history.json").read_text(encoding="utf-8"))) == 1


def test_the_record_of_a_completed_job_says_so(job, tmp_path, capsys, monkeypatch):
    """A run that trains to its end in one start after one that was interrupted; neither has failed."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    run = train_small(tmp_path / "runs").run  # says how it ended, since $DIFFLAB_JOB is set
    for path in (run.complete, job / "attempts" / "0" / "0.json"):
        path.rename(path.with_suffix(".aside"))
    said_by(main, capsys, monkeypatch, "75", 0)
    run.complete.with_suffix(".aside").rename(run.complete)
    ended = job / "attempts" / "0" / "0.aside"
    (job / "attempts" / "1").mkdir()
    ended.rename(job / "attempts" / "1" / "0.json")
    lines, _ = said_by(main, capsys, monkeypatch, "0", 1)
    assert lines == ["exit 0"]
    history = json.loads((job / "history.json").read_text(encoding="utf-8"))
    assert [(row["failed"], row["reason"], row["node"]) for row in history] == [
        (False, "interrupted and saved", ""),
        (False, "complete", ""),
    ]
    assert [row["step"] for row in history] == [12, 12]


def test_a_complete_run_has_not_failed_whatever_came_after(tmp_path):
    """A process that was killed while it put its things away, after complete.json was there."""
    now = describe(tmp_path, 0, 137, [end(0, 0), end(1, 1, 12, "OSError: gone")], checkpoint=12, complete=True)
    assert (now.failed, now.reason) == (False, "complete")


def test_nodes_are_left_out_only_if_enough_remain(job, monkeypatch, tmp_path, capsys):
    verdict = decide(1, False, [], attempt(node="node2", reason="Killed"), [])
    sinfo = tmp_path / "bin" / "sinfo"
    sinfo.parent.mkdir()
    sinfo.write_text("#!/bin/sh\nprintf 'node1\\nnode2\\nnode3\\n'\n", encoding="utf-8")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", str(sinfo.parent), prepend=":")
    for nodes, left_out in (("2", True), ("3", False)):
        monkeypatch.setenv("SLURM_JOB_NUM_NODES", nodes)
        assert any("ExcNodeList=node2" in line for line in shell(verdict)) == left_out
    assert "too few nodes remain" in capsys.readouterr().err


def test_a_machine_that_lacks_what_the_others_have_is_left_out(tmp_path):
    """Its processes said so at the meeting; the status alone would say that the command is wrong."""
    ends = [
        ProcessEnd(rank, f"node{rank + 1}", 1, None, "process 1 on node2: /data: no such folder", ("node2",))
        for rank in range(2)
    ]
    now = describe(tmp_path, 0, 1, ends, checkpoint=-1)
    verdict = decide(1, False, ends, now, [])
    assert (verdict.again, verdict.exclude) == (True, ("node2",))
    assert "node2" in verdict.message
    assert "no such folder" in verdict.message


def test_a_file_that_one_process_alone_does_not_get_is_its_machines_fault(tmp_path, monkeypatch):
    """In training, where each process reads files of its own; the same at the same step elsewhere is the data's."""
    monkeypatch.setenv("SLURM_NTASKS", "2")
    ends = [ProcessEnd(1, "node2", 2, 7, "DataError: cannot read x.png: Stale file handle", (), True)]
    first = describe(tmp_path, 0, 2, ends, checkpoint=5)
    assert decide(2, False, ends, first, []).exclude == ("node2",)
    ends = [ProcessEnd(1, "node3", 2, 7, ends[0].error, (), True)]
    assert not decide(2, False, ends, describe(tmp_path, 1, 2, ends, checkpoint=6), [first]).again


def test_who_was_silent_is_blamed_and_on_repetition_left_out(tmp_path):
    words = "process 1 on node2 is silent: it no longer answers at optimizer step 7"
    ends = [ProcessEnd(0, "node1", 1, 7, words, ("node2",))]
    folder = tmp_path / "attempts" / "0"
    folder.mkdir(parents=True)
    (folder / "errors").write_text("srun: error: node1: task 0: Exited with exit code 1\n", encoding="utf-8")
    now = describe(tmp_path, 0, 1, ends, checkpoint=5)
    assert (now.node, now.step) == ("node2", 7)
    once = decide(1, False, ends, now, [])
    assert (once.again, once.exclude) == (True, ())
    twice = decide(1, False, ends, now, [now])
    assert (twice.again, twice.exclude) == (True, ("node2",))


def test_a_run_that_is_busy_is_no_failure(tmp_path):
    ends = [end(0, 5, error="it is being worked on by process 7 on node4"), end(1, 5)]
    verdict = decide(5, False, ends, describe(tmp_path, 0, 5, ends, checkpoint=5), [])
    assert (verdict.again, verdict.status) == (False, 0)
    assert "process 7 on node4" in verdict.message


def test_starts_that_are_interrupted_before_a_step_come_to_an_end_later():
    """A signal may come early, but where it always does, the time is too short."""
    early = attempt(step=None, checkpoint=-1, failed=False)
    assert decide(75, False, [end(0, 75)], early, [early] * 3).again
    verdict = decide(75, False, [end(0, 75)], early, [early] * 4)
    assert (verdict.again, verdict.status) == (False, 1)
    assert "run.margin" in verdict.message


def test_what_a_command_that_has_trained_before_lacks_is_the_machines_fault():
    refused = attempt(step=None, checkpoint=5, reason="/data: no such folder")
    assert not decide(2, False, [end(0, 2)], refused, []).again
    assert decide(2, False, [end(0, 2)], refused, [attempt(step=5, checkpoint=5, failed=False)]).again


def prepared(job, capsys, monkeypatch, errors: str, nodes: str) -> tuple[list[str], str]:
    (job / "attempts" / "0").mkdir(parents=True, exist_ok=True)
    (job / "attempts" / "0" / "errors").write_text(errors, encoding="utf-8")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", nodes)
    monkeypatch.setattr("sys.argv", ["verdict", "1", "stage_in of data.dataset.root"])
    main()
    out = capsys.readouterr()
    return out.out.splitlines(), out.err


def test_what_cannot_be_prepared_on_one_node_is_prepared_elsewhere(job, capsys, monkeypatch):
    errors = (
        "cp: cannot stat '/shared': No such file or directory\nsrun: error: node2: task 1: Exited with exit code 1\n"
    )
    lines, said = prepared(job, capsys, monkeypatch, errors, "2")
    assert "scontrol requeue 12 || exit 75" in lines
    assert "on node2 (stage_in of data.dataset.root fails: cp: cannot stat" in said
    errors += "srun: error: node1: task 0: Exited with exit code 1\n"
    lines, said = prepared(job, capsys, monkeypatch, errors, "2")
    assert lines == ["exit 2"]
    assert "stage_in of data.dataset.root fails" in said
