"""Disturbed in every way, a run ends as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]


def chaos(*arguments: str, seconds: int = 3000) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "scripts.chaos", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_kills_and_signals_to_all_processes_change_nothing():
    """SIGTERM on the way, then SIGKILL. Each is a start of five seconds; the slow tests have twenty of them."""
    out = chaos("--only", "kills", "--kills", "1", "--steps", "40", "--seed", "1", "--longest-wait", "0.2")
    assert "SIGKILL -9" in out
    assert "1 of 1 held" in out


@pytest.mark.slow
def test_nothing_of_all_that_happens_to_trainings_changes_their_end():
    out = chaos()
    assert "BROKE" not in out


@pytest.mark.slow
def test_twenty_kills_with_accumulation_change_nothing():
    options = ("--only", "kills", "--kills", "20", "--steps", "400", "--seed", "1")
    chaos(*options, "--", "trainer.accumulate_grad_batches=2")


@pytest.mark.slow
def test_kills_of_two_processes_change_nothing():
    chaos("--only", "kills", "--kills", "10", "--steps", "300", "--seed", "2", "--processes", "2")
