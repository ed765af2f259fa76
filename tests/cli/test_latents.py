"""Latents of four channels: packed, trained on to the end, and said to have no pictures."""

import json
import sys

import numpy as np
import pytest

from difflab.cli.data import main as data_command
from running import SHORT, train_small


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("latents")
    for number in range(40):
        path = folder / "made" / f"class{number % 2}" / f"{number:03}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).normal(size=(4, 8, 8)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["data.py", "pack", str(folder / "made"), str(folder / "shards")])
        data_command()
    return str(folder / "shards")


def test_a_run_on_latents_comes_to_its_end_with_losses_alone(shards, tmp_path):
    data = (
        "data=latents",
        f"data.dataset.root={shards}",
        "data.image_size=8",
        "data.num_classes=2",
        "data.num_workers=0",
    )
    outcome = train_small(tmp_path, *SHORT, *data, "extractor=best_available")
    assert any("losses alone: latents are no pictures" in line for line in outcome.printed)
    run = outcome.run
    rows = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    names = {name for row in rows for name in row}
    assert any(name.startswith("train/loss") for name in names)
    assert not any(name.startswith("eval/") for name in names)
    assert (run.path / "complete.json").is_file()
    assert not list(run.samples.glob("*"))
    assert list(run.weights.glob("*.safetensors"))
