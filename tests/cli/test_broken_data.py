"""Files that are damaged, before training and while it goes on, through the commands themselves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from difflab.cli.evaluate import evaluate
from difflab.data import Digits, ImageFolder
from difflab.data.stream import epoch_order
from difflab.training import TrainedModule
from running import SMALL, composed, differences, sample_from, saved_state, train_small

ROOT = Path(__file__).parents[2]
COUNT, BATCH, BREAKS_AT = 400, 32, 8


@pytest.fixture
def digits(tmp_path, monkeypatch) -> Path:
    """Some of the embedded digits as a folder of JPEGs."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    images = Digits()
    assert images.labels is not None
    for number in range(COUNT):
        path = tmp_path / "set" / str(int(images.labels[number])) / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.images([number])[0, 0].numpy()).save(path)
    return tmp_path / "set"


def settings(digits: Path) -> list[str]:
    sizes = ["data.image_size=8", "data.channels=1", "data.num_classes=10", "data.num_workers=1", "extractor=digits"]
    return ["data=folder", f"data.dataset.root={digits}", *sizes]


def truncate(path: Path) -> bytes:
    """What it held."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return whole


def error_of(run, capsys) -> str:
    """The one line with which a command ends."""
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 2
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, text
    return lines[0]


def test_training_on_damaged_files_does_not_begin(digits, tmp_path, capsys):
    for number in (7, 9, 11, 30):
        (path,) = digits.glob(f"*/{number:04}.jpg")
        truncate(path)
    text = error_of(lambda: train_small(tmp_path / "runs", *settings(digits)), capsys)
    assert "4 of 400 images cannot be used" in text
    assert "and 1 more" in text
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_damaged_while_training_ends_it_saved(digits, tmp_path, monkeypatch, capsys):
    whole = train_small(tmp_path / "whole", *settings(digits))
    order = epoch_order(0, 0, COUNT)
    dataset = ImageFolder(digits, 8, 1)
    victim = digits / dataset._names[int(order[BREAKS_AT * BATCH + 3])]
    kept = victim.read_bytes()
    step = TrainedModule.training_step

    def damaging(self, batch, batch_idx):
        if self.trainer.global_step == 1:
            truncate(victim)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedModule, "training_step", damaging)
        text = error_of(lambda: train_small(tmp_path / "cut", *settings(digits)), capsys)
    assert f"{victim} cannot be read as an image" in text
    assert f"The run is saved up to step {BREAKS_AT}: with the data as they were the same command goes on" in text
    assert "Traceback" not in text
    victim.write_bytes(kept)
    went_on = train_small(tmp_path / "cut", *settings(digits))
    assert any(line.startswith(f"resuming from step {BREAKS_AT} ") for line in went_on.printed)
    assert went_on.run.path.name == whole.run.path.name
    found = differences(saved_state(whole.run)["state_dict"], saved_state(went_on.run)["state_dict"])
    assert not found


def test_samples_that_are_damaged_are_named(digits, capsys):
    (path,) = digits.glob("*/0003.jpg")
    truncate(path)
    command = composed("evaluate", f"samples={digits}", "reference=null", "extractor=digits", "accelerator=cpu")
    text = error_of(lambda: evaluate(command), capsys)
    assert f"{path} (image " in text
    assert "cannot be read as an image" in text


def test_classes_without_images_are_named_in_training_and_in_sampling(digits, tmp_path, capsys):
    for path in digits.glob("3/*.jpg"):
        path.unlink()
    names = sorted(path.relative_to(digits).as_posix() for path in digits.glob("*/*.jpg"))
    (digits / "dataset.json").write_text(
        json.dumps({"labels": [[name, int(name[0])] for name in names]}), encoding="utf-8"
    )
    run = train_small(tmp_path / "runs", *settings(digits), "trainer.max_steps=2", "data.num_workers=0").run
    assert re.search("warning: 1 of 10 classes have no images: .*: 3\n", capsys.readouterr().err)
    sample_from(run.path, tmp_path / "all", "num_samples=20", "batch_size=20")
    assert "warning: 1 of the 10 classes that are drawn had no images in training: 3" in capsys.readouterr().err
    sample_from(run.path, tmp_path / "some", "num_samples=4", "batch_size=4", "classes=[0,1]")
    assert "no images in training" not in capsys.readouterr().err


def test_what_is_not_as_it_seems_is_said_by_the_commands(digits, tmp_path, capfd):
    """Once, whatever the number of workers, and again from the cache."""
    (path,) = digits.glob("*/0003.jpg")
    exif = Image.Exif()
    exif[274] = 3
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, "-m", "difflab", "data", "info", str(digits)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        (note,) = [line for line in told.stdout.splitlines() if line.startswith("note")]
        assert "1 of 400 images are to be turned by their EXIF orientation" in note
        assert str(path) in note
        assert "decoded   400 of 400" in told.stdout
        assert not told.stderr


def test_an_extractor_that_does_not_take_the_images_is_named_before_training(digits, tmp_path, capsys):
    sizes = ["data.image_size=16", "data.channels=1", "data.num_classes=10", "network.attention_resolutions=[]"]
    command = ["data=folder", f"data.dataset.root={digits}", *sizes, "extractor=digits"]
    text = error_of(lambda: train_small(tmp_path / "runs", *command), capsys)
    assert "the extractor digits does not take images of 16x16 with 1 channel: the digits classifier knows grey" in text
    assert not (tmp_path / "runs").exists()


def test_a_reference_of_too_few_images_is_named_before_any_is_embedded(digits, tmp_path, capsys):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(digits.glob("0/*.jpg"))[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    words = [
        f"samples={digits}",
        f"reference={few}",
        "metric=[precision_recall]",
        "extractor=digits",
        "accelerator=cpu",
    ]
    text = error_of(lambda: evaluate(composed("evaluate", *words)), capsys)
    assert "precision_digits needs at least 4 images of the reference, and it has 3" in text


BREAKS = """
import os
import multiprocessing
import pytorch_lightning as pl

class Breaks(pl.Callback):
    def on_validation_start(self, trainer, module):
        print("workers", *[child.pid for child in multiprocessing.active_children()], flush=True)
        raise RuntimeError("no idea")

    def on_exception(self, trainer, module, exception):
        raise OSError("nor here")
"""


def test_workers_end_with_a_command_that_fails_in_whatever_way(tmp_path):
    """They ignore the SIGTERM that Python sends them at its end; it then waited for ever."""
    (tmp_path / "breaking.py").write_text(BREAKS, encoding="utf-8")
    words = [
        "data.num_workers=1",
        "trainer.max_steps=1",
        "eval.every=1",
        "+callbacks.breaks._target_=breaking.Breaks",
    ]
    told = subprocess.run(
        [sys.executable, "train.py", *SMALL, *words, f"run.root={tmp_path / 'runs'}"],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert told.returncode == 1, told.stderr
    (workers,) = [line for line in told.stdout.splitlines() if line.startswith("workers ")]
    assert len(workers.split()) == 2
    assert not any(Path(f"/proc/{number}").exists() for number in workers.split()[1:])
