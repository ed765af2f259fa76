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
from offline_runs import OFFLINE, SHORT, check_every_line_is_there_once, history, records, summarised

from difflab.cli.evaluate import evaluate
from difflab.runs.listing import run_id
from difflab.runs.wandb.mirror import STEP
from running import composed, train_small, train_until


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
