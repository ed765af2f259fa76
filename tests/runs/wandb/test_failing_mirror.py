"""What W&B or another logger does to itself costs a warning, and the next start sends what W&B lacks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from offline_runs import OFFLINE, SHORT, check_every_line_is_there_once
from pytorch_lightning.loggers import CSVLogger

from difflab.runs import RunDirectory
from difflab.runs.loggers import guarded
from difflab.runs.wandb import mirror
from difflab.training import TrainedModule
from running import differences, saved_state, train_small

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunDirectory:
    """Without W&B."""
    return train_small(tmp_path_factory.mktemp("whole"), *SHORT).run


def assert_same_end(run: RunDirectory, whole: RunDirectory) -> None:
    one, other = saved_state(run), saved_state(whole)
    assert [
        d for part in ("state_dict", "optimizer_states", "callbacks") for d in differences(one[part], other[part], part)
    ] == []
    assert run.last_scores() == whole.last_scores()


class Refusing(CSVLogger):
    """A user's logger that takes nothing after its first steps."""

    def log_metrics(self, *args, **kwargs) -> None:
        raise ConnectionError("the tracking server is gone\nand this is its second line")


def cores(of: int) -> list[psutil.Process]:
    """The wandb-core processes of a process."""
    return [child for child in psutil.Process(of).children(recursive=True) if "wandb-core" in child.name()]


def hurt(number: int, at_step: int, monkeypatch) -> None:
    """Sends wandb-core a signal within a step of training."""
    step = TrainedModule.training_step

    def hurting(self, batch, batch_idx):
        if self.trainer.global_step == at_step:
            (core,) = cores(os.getpid())
            core.send_signal(number)
            time.sleep(0.2)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TrainedModule, "training_step", hurting)


@pytest.mark.parametrize(
    ("number", "io"),
    [
        (signal.SIGKILL, "asynchronous"),
        (signal.SIGSTOP, "atomic"),
        pytest.param(signal.SIGKILL, "atomic", marks=pytest.mark.slow),
        pytest.param(signal.SIGSTOP, "asynchronous", marks=pytest.mark.slow),
    ],
)
def test_wandb_dies_or_hangs_and_another_logger_refuses_and_training_does_not_care(
    number, io, whole, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(mirror, "TO_END", {"offline": 3.0})
    with monkeypatch.context() as patch:
        hurt(number, 3, patch)
        mine = f"+logger.mine={{_target_: {__name__}.Refusing, save_dir: '{tmp_path}'}}"
        run = train_small(tmp_path, *SHORT, *OFFLINE, mine, f"checkpoint_io={io}").run
    assert_same_end(run, whole)
    (warned,) = [record.getMessage() for record in caplog.records if "Refusing has failed" in record.getMessage()]
    assert "log_metrics (ConnectionError: the tracking server is gone and this is its second line)" in warned
    warned = [record.getMessage() for record in caplog.records if "W&B" in record.getMessage()]
    assert len(warned) == 1, warned
    assert ("is started again" if number == signal.SIGKILL else "the next start of the same command sends") in warned[0]
    assert not cores(os.getpid())
    if number == signal.SIGSTOP:
        assert train_small(tmp_path, *SHORT, *OFFLINE).printed[0].startswith("already complete")
    check_every_line_is_there_once(run)
    assert not (run.path / "wandb" / "behind").exists()


TOLD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import psutil
from difflab.training import TrainedModule
from running import train_small

step = TrainedModule.training_step


def told(self, batch, batch_idx):
    if self.trainer.global_step == 2:
        for process in [*psutil.Process().children(recursive=True), psutil.Process()]:
            process.send_signal(signal.{number})
    return step(self, batch, batch_idx)


TrainedModule.training_step = told
train_small(Path({root!r}), *{words!r})
"""


def told_to_end(root: Path, number: str, *words: str) -> subprocess.CompletedProcess:
    """A run whose processes, W&B's and the data workers' too, all get a signal within its third step, as from SLURM."""
    program = TOLD.format(paths=[str(Path(__file__).parents[2])], root=str(root), words=words, number=number)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=500)


@pytest.mark.parametrize("io", ["asynchronous", pytest.param("atomic", marks=pytest.mark.slow)])
def test_a_signal_to_all_processes_of_a_job_ends_with_what_was_asked_for(io, whole, tmp_path):
    words = (*SHORT, *OFFLINE, "checkpoint.every=100", f"checkpoint_io={io}")
    done = told_to_end(tmp_path, "SIGTERM", *words)
    assert done.returncode == 75, done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).count("W&B") == 1  # which starts it again
    (config,) = tmp_path.glob("*/*/config.yaml")
    assert [path.name for path in (config.parent / "checkpoints").iterdir()] == ["step-00000003.ckpt"]
    run = train_small(tmp_path, *words).run
    assert_same_end(run, whole)
    check_every_line_is_there_once(run)


def test_a_guarded_logger_is_still_of_its_class_and_works(tmp_path):
    logger = guarded(CSVLogger(tmp_path, name="a"))
    assert isinstance(logger, CSVLogger)
    logger.log_metrics({"loss": 1.0}, 3)
    logger.save()
    assert "1.0" in (Path(logger.log_dir) / "metrics.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("mode", "environment"),
    [("online", {}), ("auto", {"WANDB_MODE": "online"}), ("onlien", {}), ("auto", {"WANDB_MODE": "on"})],
)
def test_a_mode_that_cannot_be_is_said_before_there_is_a_run(mode, environment, tmp_path, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exit_:
        train_small(tmp_path / "runs", *SHORT, "logger=[wandb]", f"logger.wandb.mode={mode}")
    said = capsys.readouterr().err
    assert exit_.value.code == 2
    assert said.count("\n") == 1
    assert ("`wandb login`" if "online" in (mode, *environment.values()) else "expected auto, online") in said
    assert not (tmp_path / "runs").exists()


def test_a_server_that_is_away_costs_a_warning_and_the_run_is_recorded_offline(whole, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    run = train_small(tmp_path, *SHORT, "logger=[wandb]", "data.num_workers=1").run
    assert_same_end(run, whole)
    (warned,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("W&B")]
    assert "does not take this run online" in warned
    assert "`wandb sync` sends it" in warned
    check_every_line_is_there_once(run)


KILLED = """
from difflab.runs.wandb.service import WandbService
service = WandbService()
service.start()
run, _ = service.begin({"dir": ".", "project": "tests"}, "offline")
run.log({"loss": 1})
service.kill()
print("done")
"""


@pytest.mark.slow
def test_of_a_service_that_was_ended_nothing_is_said_at_the_end_of_python(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
