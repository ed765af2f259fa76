"""What makes the tests the same on any machine: an environment that is nobody's, and a second run of the numerical ones as elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nobody

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "test_elsewhere.sh"


def test_what_a_user_or_a_job_has_set_is_gone():
    theirs = {
        "WANDB_API_KEY": "0" * 40,
        "SLURM_JOB_ID": "7",
        "HYDRA_FULL_ERROR": "1",
        "DIFFLAB_CACHE": "/their/cache",
        "LOCAL_RANK": "3",
        "COLUMNS": "40",
        "HOME": "/nonexistent",
    }
    code = "import conftest, os; print(*sorted(os.environ)); print(os.environ['HOME'])"
    environment = nobody.GIVEN | theirs
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, env=environment, capture_output=True, encoding="utf-8"
    )
    names, home = done.stdout.splitlines()
    assert set(names.split()) & set(theirs) == {"HOME"}
    assert home != "/nonexistent"
    assert not Path(home).exists()


@pytest.mark.skipif(not (ROOT / ".venv/bin/python").exists(), reason="the environment is not that of `make dev`")
def test_the_tests_run_elsewhere_and_fail_elsewhere(tmp_path):
    """In a copy at another path, which is gone afterwards; a test that fails there fails the command."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def run(*what: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SCRIPT, *what], env=environment, capture_output=True, encoding="utf-8")

    done = run("tests/test_types.py")
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout
    assert run("tests/no_such_test.py").returncode != 0
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("pytest-of-")] == []


def test_the_folders_that_run_elsewhere_are_there():
    script = SCRIPT.read_text(encoding="utf-8")
    listed = script.partition("numerical=(")[2].partition(")")[0].split()
    assert [name for name in listed if not (ROOT / "tests" / name).exists()] == []
    assert {"parity", "samplers", "schedules", "objectives", "guidance", "networks", "metrics"} <= set(listed)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_command_prints_where_its_signs_cannot_be_encoded(encoding):
    """A table has ±, arrows and Greek letters; a terminal may know ASCII or Latin-1 alone."""
    code = "import difflab.cli.study; print('± ↓ Δ')"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding=encoding)
    assert (done.returncode, done.stdout.strip()) == (0, "± ↓ Δ".encode(encoding, "replace").decode(encoding))
