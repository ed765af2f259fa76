"""Broken, foreign and gigantic files through the readers of difflab's commands: each ends in one line that names the file.

`trials.py` is one process with bounds of memory and time that tries them all; `makers.py` breaks files, `readers.py` reads them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from difflab.evaluation import Results
from fabricated import measured
from running import SHORT, train_small

pytestmark = pytest.mark.long

HERE = Path(__file__).parent


def trials(tmp_path: Path, every: int, *readers: str) -> tuple[int, list[str]]:
    """How many files were tried, and what did not end as it should."""
    run = train_small(tmp_path / "runs", *SHORT).run.path
    results = tmp_path / "results.json"
    results.write_text(
        Results([measured("fid", 3.2, std_error=0.1)], {"seed": 0, "step": 4}).to_json(), encoding="utf-8"
    )
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, HERE / "trials.py", run, results, str(every), *readers],
        cwd=work,
        env=os.environ | {"DIFFLAB_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *wrong, last = done.stdout.splitlines()
    return json.loads(last)["tried"], wrong


def test_some_of_all_kinds(tmp_path):
    tried, wrong = trials(tmp_path, 29)
    assert tried > 100
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_all(tmp_path):
    tried, wrong = trials(tmp_path, 1)
    assert tried > 3000
    assert not wrong, "\n".join(wrong)
