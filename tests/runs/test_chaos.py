"""Killed at random moments, a run ends as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def chaos(*arguments: str, seconds: int) -> str:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "chaos.py"), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_three_kills_change_nothing():
    out = chaos("--kills", "3", "--seed", "5", seconds=1800)
    assert "SIGKILL" in out
    assert "those of the undisturbed run" in out


@pytest.mark.slow
def test_twenty_kills_with_workers_and_accumulation_change_nothing():
    chaos(
        "--kills",
        "20",
        "--steps",
        "400",
        "--seed",
        "1",
        "data.num_workers=1",
        "trainer.accumulate_grad_batches=2",
        seconds=1800,
    )


@pytest.mark.slow
def test_kills_of_two_processes_change_nothing():
    chaos("--kills", "10", "--steps", "300", "--seed", "2", "--processes", "2", seconds=1800)
