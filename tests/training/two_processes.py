"""Two processes that share a training, and what is left of it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from difflab.runs import RunDirectory, read_metrics

HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None
needs_deepspeed = pytest.mark.skipif(
    not HAS_DEEPSPEED, reason='DeepSpeed is not installed: pip install "difflab[deepspeed]"'
)
GATHER_ALL = "+strategy.zero.stage3_param_persistence_threshold=0"
"""Else ZeRO-3 keeps weights as small as these whole everywhere."""


def torchrun(folder: Path, plan: list, *options: str, timeout: int = 400) -> str:
    """Two processes do what the plan says; what they printed."""
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *options]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("share_a_run.py")), str(folder / "plan.json")],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def rows_of(run: RunDirectory) -> list[dict[str, float]]:
    """What was logged, but for the speed."""
    return [
        {name: value for name, value in row.items() if name not in ("train/images_per_second", "train/data_wait_share")}
        for row in read_metrics(run.metrics)
    ]


def run_in(root: Path) -> RunDirectory:
    (path,) = root.glob("*/*")
    return RunDirectory(path)
