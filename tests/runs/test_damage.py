"""Bits that flip on a disk or on the way are found when weights are read, on the path of every command."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from difflab.checkpoints import openai
from difflab.networks import weights_sha256
from difflab.runs.export import export_weights, read_exported
from running import Outcome, sample_from, train_small


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    short = ["trainer.max_steps=2", "eval.every=2", "eval.num_samples=4", "checkpoint.every=1"]
    return train_small(tmp_path_factory.mktemp("runs"), *short)


def flipped(source: Path, target: Path, place: int) -> Path:
    """A copy with two bits turned over."""
    content = bytearray(source.read_bytes())
    content[place] ^= 1
    content[place + 1] ^= 1
    target.write_bytes(content)
    return target


def refusal(capsys, checkpoint, folder, *overrides) -> str:
    with pytest.raises(SystemExit) as exit_:
        sample_from(checkpoint, folder, "num_samples=2", *overrides)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    assert not folder.exists()
    return error


def test_flipped_bits_in_exported_weights_are_refused(outcome, tmp_path, capsys):
    whole = outcome.run.weights / "online.safetensors"
    size = whole.stat().st_size
    weights = flipped(whole, tmp_path / "weights.safetensors", size // 2)
    assert f"{weights} is damaged (its weights have the sha256" in refusal(capsys, weights, tmp_path / "out")
    config = flipped(whole, tmp_path / "config.safetensors", whole.read_bytes().index(b"max_steps") + 3)
    assert "is damaged (its header is not what was written)" in refusal(capsys, config, tmp_path / "out")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(whole.read_bytes()[: size // 2])
    assert f"{torn} is damaged" in refusal(capsys, torn, tmp_path / "out")
    sample_from(whole, tmp_path / "out", "num_samples=2")


def test_and_so_are_those_of_a_guiding_model(outcome, tmp_path, capsys):
    whole = outcome.run.weights / "online.safetensors"
    weak = flipped(whole, tmp_path / "weak.safetensors", whole.stat().st_size - 100)
    guided = ["guidance=[autoguidance,clip]", f"guidance.autoguidance.weak.checkpoint={weak}"]
    assert f"{weak} is damaged" in refusal(capsys, whole, tmp_path / "out", *guided)


def test_files_of_earlier_versions_are_read_as_they_are(outcome, tmp_path):
    weights, header = read_exported(outcome.run.weights / "warm_up.safetensors")
    old = {name: value for name, value in header.items() if not name.endswith("_sha256")}
    assert header["weights_sha256"] == weights_sha256(weights)
    save_file(weights, tmp_path / "old.safetensors", old)
    assert read_exported(tmp_path / "old.safetensors")[1] == old
    sample_from(tmp_path / "old.safetensors", tmp_path / "out", "num_samples=2")


def test_weights_of_every_shape_are_hashed(tmp_path):
    odd = {"scalar": torch.tensor(2.0), "none": torch.zeros(0, 3), "cut": torch.arange(12.0).reshape(3, 4)[:, ::2]}
    export_weights(tmp_path / "odd.safetensors", odd, "online", 1, "")
    assert read_exported(tmp_path / "odd.safetensors")[0].keys() == odd.keys()
    assert weights_sha256(odd) != weights_sha256(odd | {"none": torch.zeros(3, 0)})


def test_flipped_bits_in_a_checkpoint_are_found(outcome, tmp_path, capsys, caplog):
    """Its archive has a checksum for each entry: the newest one that is whole serves."""
    run = tmp_path / "run"
    shutil.copytree(outcome.run.path, run)
    newest = run / "checkpoints" / "step-00000002.ckpt"
    flipped(newest, newest, newest.stat().st_size // 2)
    assert f"{newest} is damaged" in refusal(capsys, newest, tmp_path / "out")
    sample_from(run, tmp_path / "out", "num_samples=2")
    assert f"{newest} is damaged and is not used" in caplog.text


def test_flipped_bits_in_a_released_file_are_found(tmp_path):
    torch.save({"out.0.weight": torch.randn(1000)}, tmp_path / "lsun_cat.pt")
    flipped(tmp_path / "lsun_cat.pt", tmp_path / "lsun_cat.pt", 2000)
    with pytest.raises(ValueError, match=r"lsun_cat\.pt is damaged .*Get it again"):
        openai.load(tmp_path / "lsun_cat.pt")


def test_the_header_can_be_read_by_others(outcome):
    with safe_open(outcome.run.weights / "online.safetensors", "pt") as file:
        assert len(file.metadata()["weights_sha256"]) == 64
