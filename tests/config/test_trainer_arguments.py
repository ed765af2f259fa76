"""What is given to Lightning's Trainer: it works, or one line says what to set instead. Nothing is dropped."""

import inspect

import pytest
import pytorch_lightning as pl

from difflab.config.arguments import SET_ELSEWHERE
from difflab.config.keys import ConfigError
from difflab.config.resolve import resolve_row
from difflab.runs.listing import run_id
from running import SHORT, SMALL, train_small

TAKEN = {
    *("accelerator", "devices", "num_nodes", "precision", "max_steps", "accumulate_grad_batches", "log_every_n_steps"),
    *("gradient_clip_val", "gradient_clip_algorithm", "deterministic", "benchmark", "inference_mode", "profiler"),
    *("detect_anomaly", "sync_batchnorm", "enable_model_summary", "enable_autolog_hparams"),  # Lightning's own matter
    *("max_time", "enable_progress_bar"),  # joined with difflab's
}


def test_every_argument_of_the_trainer_is_taken_or_refused():
    """A later Lightning may bring new ones."""
    assert {*SET_ELSEWHERE, *TAKEN} == set(inspect.signature(pl.Trainer).parameters)
    assert not SET_ELSEWHERE.keys() & TAKEN


VALUES = {
    **dict.fromkeys(("logger", "fast_dev_run", "barebones", "use_distributed_sampler"), "true"),
    **dict.fromkeys(("enable_checkpointing",), "false"),
    **dict.fromkeys(("strategy", "default_root_dir"), "ddp"),
    **{"plugins": "[x]", "max_time": "1", "callbacks": "[{_target_: builtins.dict}]"},
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


def test_the_bar_can_be_left_out(tmp_path):
    printed = train_small(tmp_path / "runs", *SHORT, "+trainer.enable_progress_bar=false").printed
    assert not any(line.startswith("step ") and "loss" in line for line in printed)


def test_a_logger_is_given_what_it_asks_for(tmp_path):
    """Lightning's CSV logger knows nothing of runs and identities."""
    node = f"+logger.csv={{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: {tmp_path}/csv}}"
    run = train_small(tmp_path / "runs", *SHORT, "logger=[]", node).run
    (written,) = (tmp_path / "csv").glob("**/metrics.csv")
    assert run_id(run.path) in str(written)
    assert "train/loss" in written.read_text(encoding="utf-8")
