"""What the file of an offline W&B run holds: the path of every run that uses the default logger."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from wandb.proto import wandb_internal_pb2 as wandb_records

from difflab.cli.evaluate import evaluate
from difflab.runs import RunDirectory, read_metrics
from difflab.runs.names import run_id
from difflab.runs.wandb.mirror import STEP
from difflab.runs.wandb.offline_file import records as records_of
from running import composed, train_small, train_until

OFFLINE = ("logger=[wandb]", "logger.wandb.mode=offline", "data.num_workers=1")
SPEEDS = ("train/images_per_second", "train/data_wait_share")
SHORT = (
    "trainer.max_steps=8",
    "eval.every=8",
    "checkpoint.every=4",
    "eval.num_samples=16",
    "eval.grid=10",
    "data.batch_size=16",
)


def named(items) -> dict:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def records(run: Path) -> list[wandb_records.Record]:
    """Of all starts, in order; a torn tail is left out."""
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    return [record for file in files for _, record in records_of(file)]


def history(run: Path) -> list[dict]:
    return [
        named(record.history.item) | {"_step": record.history.step.num}
        for record in records(run)
        if record.WhichOneof("record_type") == "history"
    ]


def summarised(run: Path) -> dict:
    found: dict = {}
    for record in records(run):
        if record.WhichOneof("record_type") == "summary":
            found |= named(record.summary.update)
    return found


def check_every_line_is_there_once(run: RunDirectory) -> None:
    """With its own step as the axis of charts. A step that was done again after a crash has other speeds, and nothing else is other."""
    lines = history(run.path)
    rows = read_metrics(run.metrics)
    assert [line["_step"] for line in lines] == [line[STEP] for line in lines] == [row["step"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        names = row.keys() - {"step", *SPEEDS}
        assert {name: line[name] for name in names} == {name: row[name] for name in names}
        assert line.keys() >= row.keys() - {"step"}


def test_charts_are_drawn_over_optimizer_steps_and_scores_are_in_the_summary(tmp_path, monkeypatch):
    """Two seeds in one process, then an evaluation of the first of them."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    first, second = (train_small(tmp_path, *SHORT, *OFFLINE, f"seed={seed}").run for seed in (0, 1))
    for run in (first, second):
        check_every_line_is_there_once(run)
        axes = [record.metric for record in records(run.path) if record.WhichOneof("record_type") == "metric"]
        assert (STEP, "*") in [(axis.step_metric, axis.glob_name) for axis in axes]
    words = (f"checkpoint={first.path}", "num_samples=16", "batch_size=8", "replicates=0", "metric=[frechet]")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(composed("evaluate", *words, "accelerator=cpu"))
    (results,) = first.path.glob("evaluations/*/results.json")
    (measured,) = json.loads(results.read_text(encoding="utf-8"))["measurements"]
    deadline = time.monotonic() + 60
    while "evaluate/warm_up/fd_digits@16" not in summarised(first.path) and time.monotonic() < deadline:
        time.sleep(0.2)  # W&B writes from a process of its own
    found, summary = records(first.path), summarised(first.path)
    assert {record.run.run_id for record in found if record.WhichOneof("record_type") == "run"} == {run_id(first.path)}
    assert summary["evaluate/warm_up/fd_digits@16"] == measured["value"]
    for name, value in first.last_scores().items():
        best = "max" if "is_digits" in name else "min"  # as the metrics declare
        assert summary[name] == {"last": value, best: value}
    assert summary[STEP] == 8
    check_every_line_is_there_once(first)


def test_after_an_exception_no_step_is_sent_twice_and_none_is_missing(tmp_path, monkeypatch):
    """The run stops at step 7, three steps after its checkpoint, and has sent step 6 by then."""
    cut = train_until(7, monkeypatch, tmp_path, *SHORT, *OFFLINE)
    assert [line["_step"] for line in history(cut.path)] == [2, 4, 6]
    run = train_small(tmp_path, *SHORT, *OFFLINE).run
    check_every_line_is_there_once(run)
    longer = train_small(tmp_path, *SHORT, *OFFLINE, "trainer.max_steps=10").run
    assert [line["_step"] for line in history(longer.path)] == [2, 4, 6, 8, 10]  # of which it has trained two
    check_every_line_is_there_once(longer)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import psutil
from difflab.training import TrainedModule
from running import train_small

step, root = TrainedModule.training_step, Path({root!r})


def killed(self, batch, batch_idx):
    if self.trainer.global_step == 7:
        print(*(child.pid for child in psutil.Process().children(recursive=True)), file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)


TrainedModule.training_step = killed
train_small(root, *{words!r})
"""


def test_after_a_kill_no_step_is_sent_twice_and_none_is_missing(tmp_path):
    """SIGKILL at step 7. Whatever part of the lines W&B had written by then, in the end it has each of them once."""
    words = (
        *SHORT,
        "checkpoint.every=100",
        *OFFLINE,
        "seed=2",
    )  # an identity of its own: W&B's process serves one at a time
    program = KILLED.format(paths=[str(Path(__file__).parents[2])], root=str(tmp_path), words=words)
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # not this process's W&B
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=500, env=alone)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode(errors="replace")
    left = [int(pid) for pid in done.stderr.splitlines()[-1].split()]
    assert left  # W&B and the data workers, which end as well
    deadline = time.monotonic() + 60
    while any(map(psutil.pid_exists, left)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in left if psutil.pid_exists(pid)]
    (config,) = tmp_path.glob("*/*/config.yaml")
    sent = [
        line["_step"] for line in history(config.parent)
    ]  # W&B writes in blocks: offline a kill may take some of them along
    assert sent == [2, 4, 6][: len(sent)]
    check_every_line_is_there_once(train_small(tmp_path, *words).run)
