"""From the command to the scored run."""

import hashlib
import importlib.metadata
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from wandb.proto import wandb_internal_pb2 as wandb_records

from difflab.checkpoints.load import load_model
from difflab.ema import initial_share
from difflab.features import to_uint8
from difflab.guidance import Clip
from difflab.runs import read_metrics
from difflab.runs.listing import identity_of, run_id
from difflab.samplers import DDIM, balanced_labels, draw
from difflab.samplers.grids import UniformGrid
from running import Outcome, composed, sample_from, train_small, train_until

SCORE = "eval/warm_up/fd_digits@40"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    """A whole run with the mirror in W&B."""
    mirror = ["logger=[wandb]", "logger.wandb.mode=offline"]
    return train_small(tmp_path_factory.mktemp("my runs ü"), *mirror)


def test_the_recipe_is_printed_first_and_the_path_last(outcome):
    labels = ["run", "output", "device", "data", "model", "training", "objective", "evaluation"]
    assert [line.split()[0] for line in outcome.printed[:8]] == labels
    assert outcome.printed[0].endswith("seed 0, run id " + identity_of(outcome.run.path))
    assert outcome.printed[1].split(maxsplit=1)[1] == str(outcome.run.path)
    assert outcome.printed[2].split(maxsplit=1)[1].startswith("CPU, 1 process with ")
    assert outcome.printed[3].split(maxsplit=1)[1] == "Digits: 1,797 images, 8x8, 1 channel, 10 classes"
    assert "cosine" in outcome.printed[4]
    assert outcome.printed[5].split(maxsplit=1)[1] == "12 steps of 32 images = 0.214 epochs"
    assert outcome.run.path.parent.name == "cosine_adagn"
    assert Path(outcome.printed[-1]) == outcome.run.path
    lines = [line for line in outcome.printed if line.startswith("step ") and "loss" in line]
    assert [line.split()[1] for line in lines] == [f"{step}/12:" for step in (1, 2, 4, 6, 8, 10, 12)]
    assert all(re.search(r"loss \d\.\d+, .* ms/step, .* images/s, \d:\d\d:\d\d left", line) for line in lines)


def test_the_end_says_where_things_are_and_what_to_do_next(outcome):
    end = [(line[:9].strip(), line[9:]) for line in outcome.printed[-9:-1]]
    assert [label for label, _ in end] == ["samples", "weights", "metrics", "W&B", "", "next", "", ""]
    assert Path(end[0][1]).suffix == ".png"
    assert end[4][1].startswith("to upload it: wandb sync ")
    for (_, words), script in zip(end[5:7], ("sample", "evaluate"), strict=True):
        assert words.startswith((f"python {script}.py '", f"difflab {script} '"))
        assert f"checkpoint={outcome.run.path}" in words
    assert end[7][1].endswith(" seed=1")


def test_scores_are_printed_once_per_evaluation_and_warnings_once(outcome):
    tables = [i for i, line in enumerate(outcome.printed) if line.split() == ["metric", "warm_up", "better"]]
    assert len(tables) == 2
    assert sum(f"{outcome.run.last_scores()[SCORE]:.4g}" in line for line in outcome.printed) == 1
    assert outcome.printed[tables[0] + 1].split()[::2] == ["fd_digits@40", "lower"]
    against = "evaluation, 40 samples against the 1,797 images of the data"
    assert [line for line in outcome.printed if against in line] == [f"step {step}: {against}" for step in (6, 12)]


def test_the_configuration_is_kept_resolved(outcome):
    text = outcome.run.config.read_text(encoding="utf-8")
    kept = OmegaConf.load(outcome.run.config)
    assert "${" not in text
    assert (kept.network.width, kept.trainer.max_steps, kept.module.num_classes) == (16, 12, 10)


def test_provenance_says_code_versions_and_command(outcome):
    (start,) = json.loads(outcome.run.provenance.read_text(encoding="utf-8"))
    assert start["packages"]["torch"] == importlib.metadata.version("torch")
    assert {"command", "git", "python", "host", "cpu_count", "gpus", "started"} <= start.keys()


def test_the_protocol_says_what_the_scores_mean(outcome):
    protocols = json.loads(outcome.run.protocol.read_text(encoding="utf-8"))
    assert set(protocols) == set(outcome.run.last_scores())
    protocol = protocols["eval/warm_up/fd_digits@40"]
    assert (protocol["samples"], protocol["extractor.name"], protocol["track"]) == (40, "digits", "warm_up")
    assert protocol["sampler.grid.steps"] == 4
    assert protocol["guidance.clip.low"] == -1
    assert protocols["eval/warm_up/is_digits@40"]["metric.splits"] == 1


def test_every_interval_has_a_line_and_every_evaluation_scores(outcome):
    rows = read_metrics(outcome.run.metrics)
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert [row["step"] for row in rows if SCORE in row] == [6, 12]
    assert all({"train/loss", "train/simple", "train/vlb", "train/images_per_second"} <= row.keys() for row in rows)
    assert [row["train/images"] for row in rows] == [32.0 * row["step"] for row in rows]
    assert all(row["train/loss"] == pytest.approx(row["train/simple"] + 0.001 * row["train/vlb"]) for row in rows)
    assert all(row["train/learning_rate"] == 0.001 for row in rows)


def test_the_end_is_marked_with_the_last_scores(outcome):
    complete = json.loads(outcome.run.complete.read_text(encoding="utf-8"))
    last = read_metrics(outcome.run.metrics)[-1]
    assert complete["step"] == 12
    assert complete[SCORE] == last[SCORE]
    assert f"  fd_digits@40  {last[SCORE]:.4g}    lower" in outcome.printed


def test_the_last_picture_holds_the_averaged_weights_samples(outcome):
    """Recomputed from the last checkpoint with the core alone: the picture is what the EMA weights draw from seeds 0, 1, ..."""
    pictures = [path.name for path in outcome.run.grids()]
    assert pictures == ["warm_up_00000006.png", "warm_up_00000012.png"]
    assert f"samples  {outcome.run.samples / pictures[-1]}" in outcome.printed

    denoiser = load_model(str(outcome.run.path), None, None, None).denoiser.eval()
    seeds = torch.arange(20)
    with torch.no_grad():
        images = draw(
            Clip()(denoiser),
            denoiser.schedule,
            DDIM(UniformGrid(4)),
            (1, 8, 8),
            seeds,
            balanced_labels(seeds, num_classes=10),
        )
    expected = to_uint8(images)[:, 0].numpy().astype(int)

    picture = np.asarray(Image.open(outcome.run.samples / pictures[-1]))
    cell = 64 + 2  # 8 pixels enlarged to 64, and a border
    assert picture.shape == (2 * (2 * cell) + 6 + 2, 5 * cell + 2, 3)  # 20 images: five classes of two in a line
    for i in range(20):
        below, beside = divmod(i % 10, 5)
        top, left = 2 + (2 * below + i // 10) * cell + 6 * below, 2 + beside * cell
        shown = picture[top : top + 64, left : left + 64].astype(int)
        assert np.abs(shown.reshape(8, 8, 8, 8, 3) - expected[i][:, None, :, None, None]).max() <= 1
    assert expected.std() > 10


def test_wandb_holds_the_same_numbers(outcome):
    (file,) = outcome.run.path.glob("wandb/offline-run-*/run-*.wandb")
    mirrored = {}
    config = {}
    for record in wandb_file(file):
        for item in record.history.item:
            key = ".".join(item.nested_key) or item.key
            mirrored.setdefault(record.history.step.num, {})[key] = json.loads(item.value_json)
        for item in [*record.run.config.update, *record.config.update]:
            config[".".join(item.nested_key) or item.key] = json.loads(item.value_json)
        if record.WhichOneof("record_type") == "run":
            assert record.run.run_id == run_id(outcome.run.path)
            assert record.run.run_group == "cosine_adagn"
    for row in read_metrics(outcome.run.metrics):
        for name, value in row.items():
            if name != "step":
                assert mirrored[row["step"]][name] == value, (row["step"], name)
    pictures = {
        step: row["samples/warm_up.sha256"] for step, row in mirrored.items() if "samples/warm_up.sha256" in row
    }
    for step, digest in pictures.items():
        assert digest == hashlib.sha256((outcome.run.samples / f"warm_up_{step:08d}.png").read_bytes()).hexdigest()
    assert list(pictures) == [6, 12]
    assert config["network"]["width"] == 16
    assert config["protocol"] == json.loads(outcome.run.protocol.read_text(encoding="utf-8"))
    assert config["provenance"]["packages"]


def test_wandb_has_every_step_once_after_a_power_cut(monkeypatch, tmp_path):
    mirror = ["logger=[wandb]", "logger.wandb.mode=offline"]
    train_until(7, monkeypatch, tmp_path, *mirror)
    run = train_small(tmp_path, *mirror).run
    steps = []
    for file in sorted(run.path.glob("wandb/offline-run-*/run-*.wandb")):
        for record in wandb_file(file):
            if record.WhichOneof("record_type") == "history":
                steps.append(record.history.step.num)
                logged = {".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                (row,) = (row for row in read_metrics(run.metrics) if row["step"] == steps[-1])
                again = {
                    "step",
                    "train/images_per_second",
                    "train/data_wait_share",
                }  # of a step that was done once more
                assert {name: logged[name] for name in row.keys() - again}.items() <= row.items()
    assert steps == [2, 4, 6, 8, 10, 12]


def test_the_same_command_again_trains_nothing(outcome):
    before = {path: path.stat().st_mtime_ns for path in outcome.run.path.rglob("*") if path.is_file()}
    again = train_small(outcome.run.path.parents[1], "logger=[wandb]", "logger.wandb.mode=offline")
    assert again.printed[0].startswith("already complete")
    assert again.printed[1] == "scores of 40 samples against the 1,797 images of the data"
    assert again.printed[2:] == outcome.printed[-len(again.printed) + 2 :]
    assert {path: path.stat().st_mtime_ns for path in outcome.run.path.rglob("*") if path.is_file()} == before


def test_young_averages_are_told(tmp_path, caplog):
    """0.9999 to the power of 12 is 0.9988."""
    outcome = train_small(tmp_path, "ema=[constant,warm_up]")
    assert any(
        "EMA constant (holds 100 % of the initial weights at the end), warm_up" in line for line in outcome.printed
    )
    told = [line for line in outcome.printed if "still holds" in line]
    assert len(told) == 1
    assert told[0].startswith("note: the average 'constant' still holds 100 % of its initial weights after 6 steps")
    sample_from(outcome.run.path, tmp_path / "out", "num_samples=2", "track=constant")
    assert "'constant' still holds 100 % of its initial weights after 12 steps" in caplog.text
    caplog.clear()
    sample_from(outcome.run.path, tmp_path / "warm", "num_samples=2", "track=warm_up")
    assert "still holds" not in caplog.text


def test_the_base_forgets_the_initial_weights_soon():
    config = composed("train")
    (averaging,) = instantiate(config.ema).values()
    assert initial_share(averaging, 100) == 0


def test_an_objective_that_couples_images_sees_the_whole_batch(tmp_path):
    """All of it: on one process, at once."""
    assert train_small(tmp_path, COUPLED, "trainer.max_steps=2", "eval.num_samples=4").run.complete.exists()


COUPLED = "objective._target_=learned.CoupledHybrid"
UNLABELLED = ["data.num_classes=0", "embedder=none", "condition_dropout=0.1"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.devices=3", "strategy=ddp"], "= 3 x 1 = 3"),
        (["data.batch_size=33", "trainer.accumulate_grad_batches=2"], "multiple of processes x accumulated"),
        (["variance=fixed_small"], "variance=learned_range"),
        (["sampler.grid.steps=21"], "21"),
        (["eval.tracks=[slow]"], "there are only warm_up, online"),
        (["guidance=[classifier_free]"], "condition_dropout=0.1"),
        ([*UNLABELLED, "guidance=[rescaled_classifier_free]"], "guidance 'rescaled_classifier_free': "),
        ([*UNLABELLED, "guidance=[adaptive_projected]"], "a condition that can be dropped"),
        (["condition_dropout=1.5"], "at least 0 and at most 1"),
        ([COUPLED, "data.micro_batch=8"], "CoupledHybrid couples the images of a batch, and would see 4 parts of it"),
        ([COUPLED, "trainer.accumulate_grad_batches=2"], "(2 micro-batches on 1 processes)"),
        (["data.num_classes=3"], "data.num_classes=10"),
        (["checkpoint.keep_last=0"], "keep_last=0"),
        (["eval.every=0"], "eval.every=0"),
        (["eval.every=null"], "eval.every=null must be a whole number"),
        (["trainer.devices=0", "strategy=ddp"], "trainer.devices=0: a run needs a process"),
        (["data.micro_batch=x"], "data.micro_batch=x must be a whole number"),
        (["seed=1.5"], "seed=1.5 must be a whole number, at least 0"),
        (["seed=true"], "seed=true must be a whole number, at least 0"),
        (["seed=-1"], "seed=-1 must be a whole number, at least 0"),
        (["seed=abc"], "seed=abc must be a whole number, at least 0"),
        (["seed=18446744073709551616"], "and at most 18446744073709551615"),
        (["data.seed=1.9"], "data.seed=1.9 must be a whole number, at least 0"),
        (["module.seed=abc"], "module.seed=abc must be a whole number, at least 0"),
        (["trainer.num_nodes=2"], "nobody starts the processes of the other machines"),
        (["eval.batch_size=0"], "eval.batch_size=0"),
        (["eval.grid=0"], "eval.grid=0"),
        (["eval.num_samples=1"], "num_samples=1"),
        (["trainer.log_every_n_steps=0"], "trainer.log_every_n_steps=0"),
        (["trainer.max_time=soon"], "DD:HH:MM:SS"),
        (["trainer.precision=bf17"], "bf17"),
        (["logger=[wandb]", "logger.wandb.mode=sometimes"], "auto, online, offline or disabled"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_leaves_nothing(overrides, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        train_small(tmp_path, *overrides)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert message in error
    assert not list(tmp_path.rglob("config.yaml"))


def wandb_file(path: Path) -> Iterator[wandb_records.Record]:
    """The records of an offline W&B file: LevelDB's log format with a header of 7 bytes, in blocks of 32 KiB."""
    data, place, parts = path.read_bytes(), 7, b""
    assert struct.unpack("<4sH", data[:6]) == (b":W&B", 0xBEE1)
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        checksum, size, kind = struct.unpack("<IHB", data[place : place + 7])
        body = data[place + 7 : place + 7 + size]
        assert zlib.crc32(bytes([kind]) + body) == checksum
        place += 7 + size
        parts = body if kind in (1, 2) else parts + body
        if kind in (1, 4):  # whole, or the last of several parts
            yield wandb_records.Record.FromString(parts)
