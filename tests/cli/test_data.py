"""`difflab data`, and training on what it made."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from difflab.cli import data as command
from difflab.data import Digits
from difflab.runs import read_metrics
from running import train_small

COUNT = 300


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Some of the embedded digits as a folder of PNGs."""
    root, images = tmp_path_factory.mktemp("source") / "digits", Digits()
    assert images.labels is not None
    for number in range(COUNT):
        path = root / str(int(images.labels[number])) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.images([number])[0, 0].numpy()).save(path)
    return root


@pytest.fixture
def said(monkeypatch, capsys):
    """said(*words) -> (exit status, what `difflab data` printed, its errors)."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["difflab data", *map(str, words)])
        try:
            command.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_pack_and_info(digits, tmp_path, said):
    out = tmp_path / "out"
    status, text, _ = said("pack", digits, out, "format=mds", "image_size=4")
    assert status == 0
    assert "packing " in text  # the bars
    assert "checking" in text
    assert f"300 examples in 1 shards of {out}" in text
    assert f"data=mds data.dataset.root={out}" in text
    status, text, _ = said("info", out)
    assert status == 0
    assert "4x4 L PNG" in text
    assert "resized to 4; sizes and checksums are right" in text
    facts = json.loads(said("info", out, "--json")[1])
    source = json.loads(said("info", digits, "--json")[1])
    assert facts["classes"] == source["classes"]
    assert facts["content"] != source["content"]


def test_mistakes_are_one_line(digits, tmp_path, said):
    for words, message in [
        (("pack", digits, tmp_path / "o", "fromat=mds"), "did you mean format=?"),
        (("pack", digits, tmp_path / "o", "format=lmdb"), "choose webdataset, mds, parquet"),
        (("pack", digits, tmp_path / "o", "image_size=big"), "image_size=big must be a whole number"),
        (("pack", tmp_path / "absent", tmp_path / "o"), "does not exist"),
        (("pack", digits), "give pack SOURCE OUT"),
        (("unpack", digits, tmp_path), "give pack SOURCE OUT"),
        (("info", tmp_path / "absent"), "does not exist"),
    ]:
        status, _, error = said(*words)
        assert (status, error.count("\n")) == (2, 1)
        assert message in error
    assert not (tmp_path / "o").exists()
    assert said("--help")[1].splitlines()[0].endswith(": packs data sets into shards, and tells what they are")


def test_training_on_shards_is_training_on_the_folder(digits, tmp_path, said):
    """The same images in the same order, shuffled, mirrored and split by the same rules: the same losses and scores."""
    shards = tmp_path / "shards"
    assert said("pack", digits, shards)[0] == 0
    settings = ("data.image_size=8", "data.channels=1", "data.num_classes=10", "data.num_workers=1", "extractor=digits")
    rows = []
    for name, root in (("folder", digits), ("webdataset", shards)):
        run = train_small(tmp_path / "runs", f"data={name}", f"data.dataset.root={root}", *settings).run
        rows.append(
            [
                {k: v for k, v in row.items() if k not in ("train/images_per_second", "train/data_wait_share")}
                for row in read_metrics(run.metrics)
            ]
        )
    assert len(rows[0]) >= 6
    assert rows[0] == rows[1]
