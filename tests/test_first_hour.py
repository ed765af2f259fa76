"""The first hour of a user: the wheel in an empty folder, README and the quick start, from first pictures to a study."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difflab.runs import RunDirectory, read_metrics
from difflab.runs.wandb.offline_file import records
from lean import ROOT, lean

QUICK = (
    *("network.width=16", "schedule.steps=50", "sampler.grid.steps=3", "data.batch_size=16", "data.num_workers=1"),
    *("eval.every=4", "eval.num_samples=20", "eval.batch_size=20", "eval.grid=20", "trainer.accelerator=cpu"),
)

CALLBACK = '''
import pytorch_lightning as pl


class Steps(pl.Callback):
    """A user's own."""

    def on_train_end(self, trainer, pl_module):
        print(f"my callback saw {trainer.global_step} steps")
'''

STUDY = """
question: Does AdaGN help?
baseline: adagn
seeds: [0, 1]
experiment: cosine_adagn
overrides: [OVERRIDES]
evaluation:
  decides: fd_digits
  metrics: [fd_digits, is_digits]
  overrides: [num_samples=40, batch_size=40, accelerator=cpu, metric.inception_score.splits=1]
rows:
  adagn: {label: AdaGN}
  addgn: {label: addition + GroupNorm, change: [network.norm], overrides: [network/norm=addgn]}
"""

pytestmark = pytest.mark.slow


class Desk:
    """An empty folder and the installed program.

    Attributes:
        folder: In which commands are typed.
    """

    def __init__(self, folder: Path, program: Path):
        self.folder, self.program = folder, program

    def types(self, *words: str, status: int = 0) -> str:
        """What a command says."""
        environment = os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [self.program, *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert done.returncode == status, f"difflab {' '.join(words)}\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def run(self, said: str) -> RunDirectory:
        """The run that a training names in its last line."""
        return RunDirectory(self.folder / said.splitlines()[-1])


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first hour")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT], check=True
    )
    python = lean(folder / "venv")
    for link in (folder / "venv").rglob("difflab.pth"):
        link.unlink()
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )
    (folder / "my work").mkdir()
    return Desk(folder / "my work", python.parent / "difflab")


def test_first_pictures_then_longer_then_from_given_weights(desk):
    (desk.folder / "mine.py").write_text(CALLBACK, encoding="utf-8")
    assert re.fullmatch(r"difflab \d+\.\d+\.\d+\S*\n", desk.types("--version"))
    assert "cosine_adagn" in desk.types("train", "+experiment=list")
    first = (
        *("train", "experiment=cosine_adagn", *QUICK, "logger=[wandb,csv]", "logger.wandb.tags=[first hour]"),
        "+callbacks.mine._target_=mine.Steps",
    )
    said = desk.types(*first, "max_steps=8")
    assert "my callback saw 8 steps" in said
    assert "python train.py" not in said
    short = desk.run(said)
    assert short.complete.exists()
    assert Image.open(short.last_grid()).size > (100, 50)
    assert "complete" in desk.types(*first, "max_steps=8")

    said = desk.types(*first, "max_steps=12")
    assert "my callback saw 12 steps" in said
    longer = desk.run(said)
    steps = [row["step"] for row in read_metrics(longer.metrics) if any(key.startswith("eval/") for key in row)]
    assert steps == [4, 8, 12]
    (table,) = longer.path.rglob("metrics.csv")
    assert table.read_text(encoding="utf-8").splitlines()[0].count("eval/") >= 2
    kinds, tags = set(), []
    for file in (longer.path / "wandb").rglob("*.wandb"):
        for _, record in records(file):
            kinds.add(record.WhichOneof("record_type"))
            tags += list(record.run.tags)
    assert {"run", "history", "summary"} <= kinds
    assert "first hour" in tags

    tuned = desk.types(
        "train", "experiment=linear_adagn", *QUICK, f"init_from={longer.path}", "max_steps=4", "logger=none"
    )
    assert desk.run(tuned).complete.exists()
    drawn = desk.types(
        "sample",
        f"checkpoint={longer.path}",
        "num_samples=20",
        "num_inference_steps=3",
        "accelerator=cpu",
        "out=pictures",
    )
    assert list((desk.folder / "pictures").rglob("*.png")), drawn
    told = desk.types("evaluate", f"ckpt_path={longer.path}", "metric=[fid,is]", "num_samples=40", "accelerator=cpu")
    assert "fd_digits" in told
    assert all(path.name in desk.types("runs") for path in (short.path, longer.path))


def test_own_images(desk):
    pictures = np.random.default_rng(0)
    for shape in ("disc", "square"):
        (desk.folder / "images" / shape).mkdir(parents=True)
        for number in range(30):
            y, x = np.mgrid[:40, :48] - 20
            inside = x**2 + y**2 < 200 if shape == "disc" else np.maximum(abs(x), abs(y)) < 14
            picture = np.where(inside[..., None], pictures.integers(120, 255, 3), 20).astype(np.uint8)
            Image.fromarray(picture).save(desk.folder / "images" / shape / f"{number}.png")
    said = desk.types(
        *("train", "experiment=own_images", "data.dataset.root=images", "data.image_size=16", "max_steps=4", *QUICK),
    )
    assert "2 classes" in said
    assert "half of them mirrored" in said
    assert desk.run(said).last_grid()


def test_a_study_of_two_rows(desk):
    overrides = ", ".join([*QUICK, "trainer.max_steps=4", "logger=none"])
    (desk.folder / "norms.yaml").write_text(STUDY.replace("OVERRIDES", overrides), encoding="utf-8")
    assert "addgn" in desk.types("study", "norms.yaml", "plan")
    desk.types("study", "norms.yaml", "launch", "jobs=2")
    status = ""
    for _ in range(200):
        status = desk.types("study", "norms.yaml", "status")
        if status.count("done") >= 4:
            break
        time.sleep(1)
    table = desk.types("study", "norms.yaml", "table")
    assert "addition + GroupNorm" in table, status
    assert re.search(r"better|worse|equivalent|inconclusive", table)
    (page,) = desk.types("study", "norms.yaml", "report").splitlines()
    page = desk.folder / page
    assert page.stat().st_size < 2e6
    assert "addition + GroupNorm" in page.read_text(encoding="utf-8")
