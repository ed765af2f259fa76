"""The group `callbacks`: Lightning's and the user's own, added to difflab's."""

import json
import sys

import pytest

from difflab.runs import RunDirectory, read_metrics
from running import SHORT, differences, saved_state, train_small, train_until

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


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> RunDirectory:
    """Without callbacks."""
    return train_small(tmp_path_factory.mktemp("plain"), *SHORT).run


def test_a_users_callbacks_are_called(tmp_path):
    """Lightning tells the states of two callbacks apart by their classes."""
    words = ("+callbacks.a._target_=my_callbacks.Note", "+callbacks.b={_target_: my_callbacks.Other, word: other}")
    printed = train_small(tmp_path / "runs", *SHORT, *words).printed
    assert [line for line in printed if line.startswith(("noted", "other"))] == ["noted 4 4", "other 4 4"]


def test_a_users_callback_goes_on_with_its_state(tmp_path, monkeypatch):
    override = "+callbacks.mine._target_=my_callbacks.Note"
    train_until(3, monkeypatch, tmp_path / "runs", *SHORT, override)
    assert "noted 4 4" in train_small(tmp_path / "runs", *SHORT, override).printed


def test_a_callback_that_changes_training_does_and_is_another_run_unless_it_says_that_it_only_watches(plain, tmp_path):
    halved = train_small(tmp_path, *SHORT, "+callbacks.mine._target_=my_callbacks.Halved").run
    assert plain.path.name != halved.path.name
    rates = [read_metrics(run.metrics)[-1]["train/learning_rate"] for run in (plain, halved)]
    assert rates == [0.001, 0.0005]
    watching = "+callbacks.mine={_target_: my_callbacks.Note, only_watches: true}"
    again = train_small(plain.path.parents[1], *SHORT, watching)
    assert again.run.path == plain.path
    assert again.printed[0].startswith("already complete")


def test_monitors_of_lightning_watch_the_same_run_and_spoil_no_line_of_it(plain, tmp_path):
    """They log a step that difflab has left behind, before and after difflab logs its own."""
    watched = train_small(
        tmp_path, *SHORT, "callbacks=[device_stats,lr_monitor,model_summary]", "trainer.log_every_n_steps=1"
    )
    assert watched.run.path.name == plain.path.name
    assert differences(saved_state(watched.run)["state_dict"], saved_state(plain)["state_dict"]) == []
    rows = [json.loads(line) for line in watched.run.metrics.read_text(encoding="utf-8").splitlines()]
    losses = [row["step"] for row in rows if "train/loss" in row]
    assert losses == [1, 2, 3, 4]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    assert any("lr-AdamW" in row for row in rows)
    assert any(name.startswith("DeviceStatsMonitor") for row in rows for name in row)


STOPPING = (
    *SHORT,
    "trainer.max_steps=12",
    "eval.every=2",
    "checkpoint.every=3",
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=1",
    "callbacks.early_stopping.min_delta=1e9",
)
"""The second evaluation, at step 4, is no improvement."""


def test_a_run_that_stops_early_is_complete_and_says_so(tmp_path, monkeypatch):
    first = train_small(tmp_path / "a", *STOPPING)
    assert first.run.status() == "complete"
    assert any(
        line.startswith("stopped early at step 4 of 12: Monitored metric eval/warm_up/fd_digits@16")
        for line in first.printed
    )
    assert (first.run.weights / "warm_up.safetensors").exists()
    again = train_small(tmp_path / "a", *STOPPING)
    assert "(stopped early at step 4 of 12: " in again.printed[0]

    for every in (3, 2):  # a checkpoint at the end of a step, and one at the end of an evaluation
        words = (*STOPPING, f"checkpoint.every={every}")
        train_until(3, monkeypatch, tmp_path / str(every), *words)
        resumed = train_small(tmp_path / str(every), *words).run
        assert differences(saved_state(resumed), saved_state(first.run)) == []
        assert resumed.last_scores() == first.run.last_scores()

    first.run.complete.unlink()  # killed between its last step and its end
    ended = train_small(tmp_path / "a", *STOPPING)
    assert ended.run.status() == "complete"
    assert saved_state(ended.run)["global_step"] == 4
    assert any(line.startswith("stopped early at step 4 of 12: Monitored metric") for line in ended.printed)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["+callbacks.mine._target_=builtins.dict"], "no Lightning callback"),
        (
            ["+callbacks.a._target_=my_callbacks.Note", "+callbacks.b._target_=my_callbacks.Note"],
            "more than one stateful callback",
        ),
        (["+callbacks.mine._target_=my_callbacks.Nothing"], "there is no my_callbacks.Nothing"),
        (["+callbacks.mine={_target_: my_callbacks.Note, wrod: x}"], "did you mean 'word'"),
        (["+callbacks.mine={_target_: my_callbacks.Note, only_watches: 3}"], "must be true or false"),
        (["+callbacks.bar._target_=pytorch_lightning.callbacks.TQDMProgressBar"], "progress bar"),
        (
            ["callbacks=early_stopping", "+callbacks.early_stopping.monitor=eval/warm_up/fd_digit@16"],
            "did you mean eval/warm_up/fd_digits@16",
        ),
        (
            ["callbacks=early_stopping", "+callbacks.early_stopping.monitor=val_loss"],
            "evaluations log eval/warm_up/fd_digits@16",
        ),
    ],
)
def test_what_is_no_callback_is_one_line(words, says, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_small(tmp_path / "runs", *SHORT, *words)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
