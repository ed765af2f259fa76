"""data.num_classes where it is left out: that of the data, before anything is built of it."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from difflab.config.keys import ConfigError
from difflab.config.resolve import resolve_row
from difflab.config.training import checked_training
from difflab.runs import identity
from running import composed

SMALL = ("network=unet", "data.image_size=8", "data.num_workers=0", "logger=none", "run.root=runs")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Three classes of two images each."""
    monkeypatch.chdir(tmp_path)
    for name in ("ant", "bee", "cow"):
        (tmp_path / "my images" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (40 * i, 9, 9)).save(tmp_path / "my images" / name / f"{i}.png")
    return tmp_path / "my images"


def test_they_are_those_of_the_folder_and_the_run_is_that_of_the_number(folder):
    words = ["data=folder", f"data.dataset.root={folder}", *SMALL]
    counted, given = resolve_row(words).config, resolve_row([*words, "data.num_classes=3"]).config
    assert counted["data"]["num_classes"] == counted["module"]["num_classes"] == 3
    assert counted == given
    assert identity(counted, "data", "judge", {}) == identity(given, "data", "judge", {})
    assert resolve_row([*words, "data.num_classes=0"]).config["module"]["num_classes"] == 0
    config = composed("train", *words)
    checked_training(config)
    assert config.embedder.label.num_classes == config.data.num_classes == 3


def test_another_folder_has_another_number(folder, tmp_path):
    """What was counted for one row is not another row's."""
    (tmp_path / "two" / "a").mkdir(parents=True)
    (tmp_path / "two" / "b").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / "two" / name / "0.png")
    numbers = [
        resolve_row(["data=folder", *SMALL, f"data.dataset.root={root}"]).config["data"]["num_classes"]
        for root in (folder, tmp_path / "two", folder)
    ]
    assert numbers == [3, 2, 3]


def test_images_without_labels_have_none(folder):
    with zipfile.ZipFile("flat.zip", "w") as archive:
        for i, path in enumerate(sorted(folder.rglob("*.png"))):
            archive.write(path, f"{i}.png")
    config = resolve_row(["data=zip", "data.dataset.path=flat.zip", *SMALL]).config
    assert config["data"]["num_classes"] == config["module"]["num_classes"] == 0


def test_data_that_cannot_be_opened_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        checked_training(composed("train", "data=folder", "data.dataset.root=absent", *SMALL))
    assert "absent" in str(error.value)
    assert "\n" not in str(error.value)
