"""`difflab runs` on runs that were trained here, and on the remains of some."""

import json
import shutil
import sys
import time

import pytest

from difflab.cli.runs import main
from running import SHORT, train_small

FEW = (*SHORT, "trainer.max_steps=2", "eval.every=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two seeds, of which one run has lost its configuration."""
    root = tmp_path_factory.mktemp("my runs")
    with pytest.MonkeyPatch.context() as patch:
        for seed in (0, 3):
            words = ["train.py", "+experiment=cosine_adagn", f"seed={seed}", "optimizer.lr=0.001"]
            patch.setattr(sys, "argv", words)
            run = train_small(root, *FEW, *words[2:]).run
    (broken := root / "cosine_adagn" / "seed9-0123456789").mkdir()
    shutil.copy(run.provenance, broken)
    return root


def told(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["runs", *map(str, words)])
    main()
    return capsys.readouterr()


def test_runs_are_listed_and_broken_ones_named(root, monkeypatch, capsys):
    said = told(monkeypatch, capsys, root)
    head, *lines = said.out.splitlines()
    assert head.split()[:4] == ["status", "step", "experiment", "seed"]
    assert [line.split()[:4] for line in lines] == [["complete", "2", "cosine_adagn", seed] for seed in "03"]
    assert all(line.endswith("optimizer.lr=0.001") for line in lines)
    assert said.err.count("\n") == 1
    assert "seed9-0123456789 has no config.yaml" in said.err


def test_they_are_chosen_and_sorted(root, monkeypatch, capsys):
    def seeds(*words):
        return [run["seed"] for run in json.loads(told(monkeypatch, capsys, root, "--json", *words).out)]

    scores = json.loads(told(monkeypatch, capsys, root, "--json", "sort=fd_digits").out)
    values = [next(value for name, value in run["scores"].items() if "fd_digits" in name) for run in scores]
    assert values == sorted(values)
    assert seeds("seed=3", "status=complete", "optimizer.lr=0.001") == [3]
    assert seeds("optimizer.lr=0.002") == []
    assert seeds("sort=seed") == [0, 3]
    assert seeds("optimizer.lr=1e-3", "seed=0") == [0], "the number, however it is typed"
    assert sorted(seeds("network.width=16.0")) == sorted(seeds("network._target_=difflab.networks.UNet")) == [0, 3], (
        "not set by words"
    )
    assert seeds("network.width=17") == seeds("network.breadth=16") == []
    assert told(monkeypatch, capsys, root, "status=training").out == "no such run\n"


def test_hundreds_are_listed_in_a_few_seconds(root, tmp_path, monkeypatch, capsys):
    (run,) = (root / "cosine_adagn").glob("seed0-*")
    for seed in range(300):
        (copy := tmp_path / "many" / f"seed{seed}-{run.name.partition('-')[2]}").mkdir(parents=True)
        for name in ("config.yaml", "provenance.json", "complete.json", "metrics.jsonl"):
            shutil.copy(run / name, copy)
    began = time.process_time()
    assert told(monkeypatch, capsys, tmp_path).out.count("\n") == 301
    assert time.process_time() - began < 10


def test_a_row_of_a_sweep_is_listed_with_its_own_words_and_the_step_it_was_saved_at(
    root, tmp_path, monkeypatch, capsys
):
    """Not with those of the whole sweep, by which nobody could find it."""
    (run,) = (root / "cosine_adagn").glob("seed0-*")
    copy = tmp_path / "sweep" / run.name
    copy.mkdir(parents=True)
    for name in ("config.yaml", "provenance.json"):
        shutil.copy(run / name, copy)
    (start,) = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    start |= {
        "command": "train.py -m experiment=cosine_adagn,linear_adagn network.width=16,32",
        "overrides": ["+experiment=linear_adagn", "network.width=32"],
        "to_step": 29,
    }
    (copy / "provenance.json").write_text(json.dumps([start]), encoding="utf-8")
    words = (tmp_path, "--json", "experiment=linear_adagn", "network.width=32")
    (listed,) = json.loads(told(monkeypatch, capsys, *words).out)
    assert listed["step"] == 29
