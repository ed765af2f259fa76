"""The benchmark of large studies, on a small one."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "studies.py"


def test_every_stage_is_timed(tmp_path):
    out = tmp_path / "studies.json"
    options = ("--rows", "3", "--seeds", "2", "--lines", "8", "--out", str(out))
    done = subprocess.run([sys.executable, str(BENCHMARK), *options], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["runs"] == 6
    stages = {"imports", "plan", "status", "gather", "verdicts", "table", "report"}
    assert found["seconds"].keys() == stages
    assert all(found["seconds"][stage]["wall"] > 0 for stage in stages)
