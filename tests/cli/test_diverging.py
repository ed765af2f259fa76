"""What the command does about a loss that is not finite."""

import json

import pytest

from difflab.runs import RunDirectory, read_metrics
from difflab.training import DiffusionModule
from running import train_small


@pytest.fixture
def sick_at_step_8(monkeypatch):
    """The loss of step 8 is not a number, unless the run has gone back before."""
    healthy = DiffusionModule.training_step

    def training_step(self, batch, batch_idx):
        loss = healthy(self, batch, batch_idx)
        return loss * float("nan") if self.trainer.global_step == 7 and self.rollbacks == 0 else loss

    monkeypatch.setattr(DiffusionModule, "training_step", training_step)


def only_run(root) -> RunDirectory:
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)


def test_it_stops_and_says_where_to_look(sick_at_step_8, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        train_small(tmp_path)
    assert end.value.code == 3
    run = only_run(tmp_path)
    said = capsys.readouterr().err
    assert "step 8 is not finite" in said
    assert "step-00000008-process-0.pt" in said
    assert f"last good checkpoint is {run.checkpoints / 'step-00000006.ckpt'}" in said
    assert run.status() == "diverged"


def test_it_goes_back_and_on_with_other_noise(sick_at_step_8, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        train_small(tmp_path, "divergence=go_back")
    assert end.value.code == 75
    run = only_run(tmp_path)
    assert run.status() == "went back"
    assert [path.name for path in run.diverged.glob("*.ckpt")] == ["step-00000006.ckpt"]
    assert "run the same command again" in capsys.readouterr().err
    before = {row["step"]: row.get("train/loss") for row in read_metrics(run.metrics)}

    went_on = train_small(tmp_path, "divergence=go_back")
    assert any(line.startswith("resuming from step 3 ") for line in went_on.printed)
    assert went_on.run.status() == "complete"
    after = {row["step"]: row.get("train/loss") for row in read_metrics(run.metrics)}
    assert after[2] == before[2]
    assert after[6] != before[6]


def test_a_skipped_step_is_counted_and_logged(sick_at_step_8, tmp_path):
    run = train_small(tmp_path, "divergence=skip_step").run
    rows = {row["step"]: row for row in read_metrics(run.metrics)}
    assert [rows[step]["train/bad_steps"] for step in (6, 8, 10, 12)] == [0, 0, 1, 1]
    assert all(row["train/gradient_norm"] > 0 for step, row in rows.items() if step != 8)
    assert run.status() == "complete"
    assert json.loads(run.complete.read_text(encoding="utf-8"))["step"] == 12
