"""A run is measured against the images that it was trained on, wherever the command is started; others are refused."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difflab.cli.evaluate import evaluate
from difflab.evaluation import Results
from running import composed, train_small

DATA = ("data=folder", "data.dataset.root=images", "data.image_size=8", "data.channels=1", "data.num_classes=2")
FEW = ("num_samples=20", "batch_size=20", "replicates=0", "metric=[frechet]", "accelerator=cpu", "extractor=digits")


def write_images(folder: Path, seed: int, count: int = 24) -> None:
    rng = np.random.default_rng(seed)
    for i in range(count):
        path = folder / "images" / str(i % 2) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with images, and a run on them that was started there."""
    place = tmp_path_factory.mktemp("there")
    write_images(place, seed=0)
    with contextlib.chdir(place):
        train_small(Path("runs"), *DATA, "extractor=digits", "trainer.max_steps=3", "eval.every=3", "run.name=birds")
    return place


@pytest.fixture(autouse=True)
def _one_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def there(trained, tmp_path) -> Path:
    """A copy, as a project is moved; `trained` is gone as long as it is used."""
    shutil.copytree(trained, tmp_path / "there")
    trained.rename(trained.with_name("away"))
    yield tmp_path / "there"
    trained.with_name("away").rename(trained)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """The current folder, with other images at the same relative place."""
    place = tmp_path / "elsewhere"
    write_images(place, seed=1)
    monkeypatch.chdir(place)
    return place


def run_in(place: Path) -> Path:
    (config,) = place.glob("runs/birds/*/config.yaml")
    return config.parent


def distance(*overrides: object) -> float:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluate(composed("evaluate", *map(str, overrides), *FEW))
    (path,) = [line.split()[1] for line in printed.getvalue().splitlines() if line.startswith("results ")]
    return Results.from_json(Path(path).read_text(encoding="utf-8")).measurements[-1].value


def refusal(capsys, *overrides: object) -> str:
    with pytest.raises(SystemExit):
        evaluate(composed("evaluate", *map(str, overrides), *FEW))
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def recorded(run: Path) -> str:
    return json.loads((run / "provenance.json").read_text(encoding="utf-8"))[-1]["data"]["fingerprint"]


def as_of_an_earlier_version(run: Path) -> None:
    """Its provenance says neither which images nor where it was started; protocol.json always told what scores were measured against."""
    (start,) = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    (run / "provenance.json").write_text(
        json.dumps([{key: value for key, value in start.items() if key not in ("data", "directory")}]), encoding="utf-8"
    )


def test_other_images_at_the_same_relative_place_are_not_taken(trained, tmp_path, elsewhere):
    with contextlib.chdir(trained):
        of_training = distance(f"checkpoint={run_in(trained)}", f"out={tmp_path / 'a'}")
    from_elsewhere = distance(f"checkpoint={run_in(trained)}", f"out={tmp_path / 'b'}")
    assert from_elsewhere == of_training
    on_purpose = distance(f"checkpoint={run_in(trained)}", f"out={tmp_path / 'c'}", *DATA)
    assert on_purpose != of_training


def test_a_moved_project_and_a_run_of_an_earlier_version_find_their_images(trained, there, tmp_path, elsewhere):
    moved = distance(f"checkpoint={run_in(there)}", f"out={tmp_path / 'a'}")
    as_of_an_earlier_version(run_in(there))
    assert distance(f"checkpoint={run_in(there)}", f"out={tmp_path / 'b'}") == moved


@pytest.mark.parametrize("earlier", [False, True])
def test_changed_images_are_refused_with_both_fingerprints_and_a_remedy(there, tmp_path, monkeypatch, capsys, earlier):
    monkeypatch.chdir(there)
    run, file = run_in(there), there / "images" / "0" / "4.png"
    print_before = recorded(run)
    if earlier:
        as_of_an_earlier_version(run)
    pixels = np.asarray(Image.open(file)).copy()
    pixels[3, 3] ^= 1
    Image.fromarray(pixels).save(file)
    message = refusal(capsys, f"checkpoint={run}")
    said_by = run / ("protocol.json" if earlier else "provenance.json")
    assert f"was trained on 24 images with the fingerprint {print_before} (by {said_by})" in message
    assert f"{there / 'images'} holds 24 images (" in message
    assert "give reference=PATH or data=NAME" in message
    write_images(there, seed=0, count=30)
    assert f"{there / 'images'} holds 30 images (" in refusal(capsys, f"checkpoint={run}")
    assert distance(f"checkpoint={run}", f"reference={there / 'images'}", f"out={tmp_path / 'out'}") > 0


def test_missing_images_are_missing_and_not_those_of_another_folder(there, tmp_path, monkeypatch, capsys):
    shutil.rmtree(there / "images")
    monkeypatch.chdir(tmp_path)
    message = refusal(capsys, f"checkpoint={run_in(there)}")
    assert "was trained on images that are not here" in message
    assert f"{tmp_path / 'images'} is no folder" in message
    write_images(tmp_path, seed=1)
    assert recorded(run_in(there)) in refusal(capsys, f"checkpoint={run_in(there)}")


def test_an_exported_file_knows_its_images_wherever_it_lies(trained, there, tmp_path, elsewhere, capsys):
    shutil.copy(run_in(there) / "weights" / "online.safetensors", tmp_path / "model.safetensors")
    request = (f"checkpoint={tmp_path / 'model.safetensors'}", f"out={tmp_path / 'out'}")
    assert recorded(run_in(there)) in refusal(capsys, *request)
    shutil.rmtree(elsewhere / "images")
    shutil.copytree(there / "images", elsewhere / "images")
    assert distance(*request) > 0
