"""What lies strangely in a run's directory: a resume and `info` say so in a line, and go on with what is good."""

import json
import shutil

import pytest
import torch

from difflab.cli.runs import info as info_command
from difflab.reading import FileError
from difflab.runs import RunDirectory, newest, rollback_count
from difflab.runs.info import as_text, info
from difflab.runs.listing import attempt_directory, identity_of
from difflab.runs.saved_checkpoints import MARK, set_aside, step_of, unfit_for
from running import differences, saved_state, train_small

SHORT = ("trainer.max_steps=4", "eval.every=4", "checkpoint.every=2", "eval.num_samples=16", "eval.grid=10")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunDirectory:
    return train_small(tmp_path_factory.mktemp("whole"), *SHORT, "data.batch_size=16").run


@pytest.fixture
def run(whole, tmp_path) -> RunDirectory:
    """As after a kill at step 3: complete at step 2."""
    copy = tmp_path / whole.path.parent.name / whole.path.name
    shutil.copytree(whole.path, copy)
    for path in (copy / "complete.json", copy / "checkpoints" / "best.ckpt", copy / "checkpoints/step-00000004.ckpt"):
        path.unlink(missing_ok=True)
    shutil.rmtree(copy / "weights")
    return RunDirectory(copy)


def test_a_resume_among_strange_files(whole, run, tmp_path, caplog):
    """All at once, since each is skipped for itself."""
    checkpoints = run.checkpoints
    of_two = checkpoints / "step-00000002.ckpt"
    state = torch.load(of_two, weights_only=True)
    (checkpoints / "step-00000010 (1).ckpt").write_bytes(of_two.read_bytes())
    (checkpoints / "step-.ckpt").touch()
    (checkpoints / "step-00000008.ckpt").mkdir()
    torch.save({"weights": torch.zeros(3)}, checkpoints / "step-00000009.ckpt")
    torch.save(state | {MARK: "0000000000", "global_step": 7}, checkpoints / "step-00000007.ckpt")
    other = {name: value[:1] for name, value in state["state_dict"].items()}
    torch.save(state | {"state_dict": other, "global_step": 6}, checkpoints / "step-00000006.ckpt")
    (checkpoints / "step-00000005.ckpt").write_bytes(of_two.read_bytes())
    (checkpoints / "step-00000003.ckpt").write_bytes(of_two.read_bytes()[:1000])
    foreign = {path.name: path.read_bytes() for path in checkpoints.iterdir() if path.is_file() and path != of_two}
    run.provenance.write_text("", encoding="utf-8")
    run.protocol.write_text("[" * 100_000, encoding="utf-8")
    with run.metrics.open("ab") as file:
        file.write(b"\x00\xff rubbish\n{}\n")
    (run.path.parent / f"{run.path.name}-2").touch()
    done = train_small(tmp_path, *SHORT, "data.batch_size=16")
    assert done.run.path == run.path
    assert any("resuming from step 2 " in line for line in done.printed)
    said = "\n".join(caplog.messages)
    for name, why in {
        "step-00000010 (1).ckpt": "has no name of a checkpoint",
        "step-.ckpt": "has no name of a checkpoint",
        "step-00000008.ckpt": "has no name of a checkpoint",
        "step-00000009.ckpt": "is no checkpoint of training",
        "step-00000007.ckpt": "is of another run, 0000000000",
        "step-00000006.ckpt": "is of another model",
        "step-00000005.ckpt": "holds step 2",
        "step-00000003.ckpt": "is damaged",
    }.items():
        assert f"{checkpoints / name} {why}" in said
    one, other = saved_state(done.run), saved_state(whole)
    assert differences(one["state_dict"], other["state_dict"]) == []
    assert differences(one["callbacks"], other["callbacks"]) == []
    assert done.run.last_scores() == whole.last_scores()
    assert len(done.run.starts()) == 1
    assert run.provenance.with_suffix(".unreadable").read_bytes() == b""
    kept = [path.read_bytes() for path in checkpoints.iterdir() if path.is_file()]
    assert all(content in kept for name, content in foreign.items() if name != "step-00000003.ckpt")


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "[1]", '[{"started": 5}]', "\x00", '[{"seconds": "x"}]', "[" * 100_000]
)
def test_info_of_a_run_with_odd_records(run, content, capsys, caplog):
    for path in (run.provenance, run.protocol, run.path / "complete.json"):
        path.write_text(content, encoding="utf-8")
    (run.samples / "no picture").mkdir()
    run.metrics.write_bytes(b"\x00\n")
    assert "saved in" in as_text(info(run.path))


def test_info_of_starts_that_say_little(run):
    start = {"started": "2026-01-01T00:00:00+00:00", "host": 7, "outcome": "failed", "seconds": "long", "git": []}
    run.provenance.write_text(json.dumps([start, 3]), encoding="utf-8")
    assert "failed at step ? after 0 s" in as_text(info(run.path))


@pytest.mark.parametrize("content", ["", "[]", "a: [", "run: 3", "seed: 1", "\x00"])
def test_info_of_an_odd_configuration_is_one_line(run, content, capsys, monkeypatch):
    run.config.write_text(content, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["info", str(run.path)])
    with pytest.raises(SystemExit) as exit_:
        info_command()
    said = capsys.readouterr().err
    assert exit_.value.code == 2
    assert said.count("\n") == 1
    assert "config.yaml" in said


def test_a_count_of_rollbacks_that_cannot_be_read_is_no_zero(run):
    """It chooses the noise."""
    (run.path / "detours.json").write_text("{", encoding="utf-8")
    with pytest.raises(FileError, match=r"detours\.json"):
        rollback_count(run)


def test_a_file_with_the_name_of_an_attempt_is_none(tmp_path):
    (tmp_path / "abc-7").touch()
    (tmp_path / "abc-2").mkdir()
    assert attempt_directory(tmp_path, "abc", 0, False).name == "abc-2"


def test_a_checkpoint_of_an_earlier_version_has_no_mark_and_is_used(run):
    path = newest(run.checkpoints)
    assert path is not None
    state = torch.load(path, weights_only=True)
    assert state.pop(MARK) == identity_of(run.path)
    torch.save(state, path)
    assert newest(run.checkpoints, unfit_for(state["state_dict"])) == path
    assert step_of(path) == 2
    set_aside(run.checkpoints, path)
    assert path.exists()
