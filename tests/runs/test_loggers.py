"""Any logger of Lightning mirrors a run: every line of metrics.jsonl once, whatever happened to the process."""

import csv
import importlib.util
import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from difflab.runs import RunDirectory, read_metrics
from running import SHORT, composed, train_small, train_until

WORDS = (*SHORT, "trainer.log_every_n_steps=1", "callbacks=lr_monitor")
"""A checkpoint at step 2; a power cut at step 3 comes after the line of that step."""


def resumed(logger: str, root: Path, monkeypatch) -> RunDirectory:
    train_until(3, monkeypatch, root, *WORDS, f"logger={logger}")
    return train_small(root, *WORDS, f"logger={logger}").run


def steps_with_loss(run: RunDirectory) -> dict[int, float]:
    return {int(row["step"]): row["train/loss"] for row in read_metrics(run.metrics) if "train/loss" in row}


def test_csv_goes_on_where_the_last_start_ended(tmp_path, monkeypatch):
    run = resumed("csv", tmp_path, monkeypatch)
    files = sorted((run.path / "csv").glob("version_*/metrics.csv"))
    assert [path.parent.name for path in files] == ["version_0", "version_1"]
    rows = [row for path in files for row in csv.DictReader(path.open(encoding="utf-8"))]
    assert {int(row["step"]): float(row["train/loss"]) for row in rows if row.get("train/loss")} == steps_with_loss(run)
    assert Counter(row["step"] for row in rows if row.get("train/loss")).most_common(1)[0][1] == 1
    assert any(name.startswith("eval/") for row in rows for name in row)
    assert "network" in (files[0].parent / "hparams.yaml").read_text(encoding="utf-8")


class Flaky(CSVLogger):
    """Takes nothing in the process's first start."""

    away = True

    def log_metrics(self, *args, **kwargs):
        if Flaky.away:
            raise ConnectionError("away")
        super().log_metrics(*args, **kwargs)


def test_what_a_logger_has_missed_it_gets_at_the_next_start(tmp_path, monkeypatch, caplog):
    mine = f"+logger.mine={{_target_: {__name__}.Flaky, name: '', version: a}}"
    train_until(3, monkeypatch, tmp_path, *WORDS, mine)
    warned = [
        one.getMessage() for one in caplog.records if one.levelno == logging.WARNING and one.name.startswith("difflab")
    ]
    assert ["ConnectionError: away" in one for one in warned if "Flaky" in one] == [True]
    Flaky.away = False
    run = train_small(tmp_path, *WORDS, mine).run
    rows = list(csv.DictReader((run.path / "mine" / "a" / "metrics.csv").open(encoding="utf-8")))
    assert {int(row["step"]): float(row["train/loss"]) for row in rows if row.get("train/loss")} == steps_with_loss(run)


def test_many_is_several_at_once():
    assert list(composed("train", "logger=many").logger) == ["csv", "tensorboard", "wandb"]
    assert list(composed("train", "logger=[wandb,csv]").logger) == ["wandb", "csv"]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_what_is_not_installed_is_a_line_that_names_the_package(name, tmp_path, capsys):
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(SystemExit):
        train_small(tmp_path / "runs", *SHORT, f"logger={name}")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"logger.{name}: " in error
    assert "pip install" in error
    assert not (tmp_path / "runs").exists()


def test_tensorboard_has_every_step_once(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = resumed("tensorboard", tmp_path, monkeypatch)
    found = EventAccumulator(str(run.path / "tensorboard")).Reload()
    points = found.Scalars("train/loss")
    assert [point.step for point in points] == list(steps_with_loss(run))
    torch.testing.assert_close([point.value for point in points], list(steps_with_loss(run).values()))


def test_mlflow_goes_on_with_the_same_run(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    run = resumed("mlflow", tmp_path, monkeypatch)
    client = MlflowClient(f"sqlite:///{run.path / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("difflab")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["trainer/max_steps"] == "4"
    assert "eval/warm_up/fd_digits_at_16" in found.data.metrics
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert {point.step: point.value for point in history} == steps_with_loss(run)
    assert len(history) == len(steps_with_loss(run))
