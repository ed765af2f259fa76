"""What is given to Lightning's Trainer: it works, or one line says what to set instead. Nothing is dropped."""

import inspect
import sys

import pytest
import pytorch_lightning as pl

from difflab.cli.check import ConfigError
from difflab.cli.resolving import resolve_row
from difflab.cli.trainer_arguments import SET_ELSEWHERE
from difflab.runs import read_metrics
from difflab.runs.attempts import run_id
from running import SHORT, SMALL, train_small, train_until

TAKEN = {
    *("accelerator", "devices", "num_nodes", "precision", "max_steps", "accumulate_grad_batches", "log_every_n_steps"),
    *("gradient_clip_val", "gradient_clip_algorithm", "deterministic", "benchmark", "inference_mode", "profiler"),
    *("detect_anomaly", "sync_batchnorm", "enable_model_summary", "enable_autolog_hparams"),  # Lightning's own matter
    *("callbacks", "max_time", "enable_progress_bar"),  # joined with difflab's
}

MINE = """
import pytorch_lightning as pl


class Note(pl.Callback):
    def __init__(self, word="noted"):
        self.word, self.seen = word, 0

    def on_train_batch_end(self, trainer, *_):
        self.seen += 1

    def on_train_end(self, trainer, pl_module):
        print(self.word, trainer.global_step, self.seen)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


class Other(Note):
    pass  # Lightning tells the states of two callbacks apart by their classes


class Halved(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] = group["lr"] / 2
        trainer.lr_scheduler_configs[0].scheduler.base_lrs = [group["lr"] for group in trainer.optimizers[0].param_groups]
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "my_callbacks.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_callbacks", None)


def test_every_argument_of_the_trainer_is_taken_or_refused():
    """A later Lightning may bring new ones."""
    assert {*SET_ELSEWHERE, *TAKEN} == set(inspect.signature(pl.Trainer).parameters)
    assert not SET_ELSEWHERE.keys() & TAKEN


VALUES = {
    **dict.fromkeys(("logger", "fast_dev_run", "barebones", "use_distributed_sampler"), "true"),
    **dict.fromkeys(("enable_checkpointing",), "false"),
    **dict.fromkeys(("strategy", "default_root_dir"), "ddp"),
    **{"plugins": "[x]", "max_time": "1"},
}


@pytest.mark.parametrize("key", SET_ELSEWHERE)
def test_what_would_be_dropped_is_refused_in_one_line(key, tmp_path, capsys):
    override = f"++trainer.{key}={VALUES.get(key, '3')}"
    with pytest.raises(SystemExit):
        train_small(tmp_path / "runs", override)
    error = capsys.readouterr().err
    assert error.startswith(f"error: trainer.{key} is not the user's to set: ")
    assert error.count("\n") == 1
    with pytest.raises(ConfigError, match=f"trainer.{key}"):
        resolve_row([*SMALL, override])
    assert not (tmp_path / "runs").exists()


def test_a_row_of_a_study_may_not_set_it_either():
    with pytest.raises(ConfigError, match=r"eval\.every"):
        resolve_row([*SMALL, "trainer.val_check_interval=3"])


@pytest.mark.parametrize(
    "override",
    [
        "+trainer.callbacks=[{_target_: my_callbacks.Note}, {_target_: my_callbacks.Other, word: other}]",
        "+trainer.callbacks={a: {_target_: my_callbacks.Note}, b: {_target_: my_callbacks.Other, word: other}}",
    ],
)
def test_a_users_callbacks_are_called(override, tmp_path):
    printed = train_small(tmp_path / "runs", *SHORT, override).printed
    assert [line for line in printed if line.startswith(("noted", "other"))] == ["noted 4 4", "other 4 4"]


def test_a_users_callback_goes_on_with_its_state(tmp_path, monkeypatch):
    override = "+trainer.callbacks=[{_target_: my_callbacks.Note}]"
    train_until(3, monkeypatch, tmp_path / "runs", *SHORT, override)
    assert "noted 4 4" in train_small(tmp_path / "runs", *SHORT, override).printed


def test_a_callback_that_changes_training_does_and_is_another_run(tmp_path):
    plain = train_small(tmp_path / "runs", *SHORT).run
    halved = train_small(tmp_path / "runs", *SHORT, "+trainer.callbacks=[{_target_: my_callbacks.Halved}]").run
    assert plain.path != halved.path
    rates = [read_metrics(run.metrics)[-1]["train/learning_rate"] for run in (plain, halved)]
    assert rates == [0.001, 0.0005]


def test_monitors_of_lightning_are_the_same_run(tmp_path):
    plain = train_small(tmp_path / "runs", *SHORT).run
    monitored = "+trainer.callbacks=[{_target_: pytorch_lightning.callbacks.DeviceStatsMonitor}]"
    again = train_small(tmp_path / "runs", *SHORT, monitored)
    assert again.run.path == plain.path
    assert again.printed[0].startswith("already complete")


@pytest.mark.parametrize(
    ("callbacks", "says"),
    [
        ("my_callbacks.Note", "must be a list of parts (Callback)"),
        ("[my_callbacks.Note]", "must be a list of parts (Callback)"),
        ("[{_target_: builtins.dict}]", "no Lightning callback"),
        ("[{_target_: my_callbacks.Note}, {_target_: my_callbacks.Note}]", "more than one stateful callback"),
        ("[{_target_: my_callbacks.Nothing}]", "there is no my_callbacks.Nothing"),
        ("[{_target_: my_callbacks.Note, wrod: x}]", "did you mean 'word'"),
        ("[{_target_: pytorch_lightning.callbacks.TQDMProgressBar}]", "progress bar"),
    ],
)
def test_what_is_no_callback_is_one_line(callbacks, says, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_small(tmp_path / "runs", f"+trainer.callbacks={callbacks}")
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_the_bar_can_be_left_out(tmp_path):
    printed = train_small(tmp_path / "runs", *SHORT, "+trainer.enable_progress_bar=false").printed
    assert not any(line.startswith("step ") for line in printed)


def test_a_logger_is_given_what_it_asks_for(tmp_path):
    """Lightning's CSV logger knows nothing of runs and identities."""
    node = f"+logger.csv={{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: {tmp_path}/csv}}"
    run = train_small(tmp_path / "runs", *SHORT, "logger=[]", node).run
    (written,) = (tmp_path / "csv").glob("**/metrics.csv")
    assert run_id(run.path) in str(written)
    assert "train/loss" in written.read_text(encoding="utf-8")
