"""The command itself, where there is hardly anything of what it is used to."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from running import SHORT, SMALL

TRAIN = Path(__file__).parents[2] / "train.py"
BARE = {"PATH": "/usr/bin:/bin", "LANG": "C", "PYTHONUTF8": "0", "OMP_NUM_THREADS": "1", "TMPDIR": "/there/is/none"}


def test_the_current_folder_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"rmdir {gone} && exec {sys.executable} {TRAIN} +experiment=cosine_adagn"
    done = subprocess.run(["sh", "-c", command], cwd=gone, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the current folder is gone")
    assert "Traceback" not in done.stderr


@pytest.fixture
def reachable():
    """A folder that others can enter; those of pytest are its user's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="becomes another user")
def test_a_user_without_a_name_and_a_home_in_a_folder_that_can_only_be_read(reachable):
    there, runs = reachable / "there", reachable / "runs"
    there.mkdir()
    runs.mkdir()
    runs.chmod(0o777)
    may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # this interpreter, wherever it lies
    become = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *may_read]
    words = [*SMALL, *SHORT, "logger=[wandb]", "data.num_workers=1", f"run.root={runs}/of 12345"]
    words = [word for word in words if word != "logger=none"]
    done = subprocess.run(
        [*become, sys.executable, TRAIN, *words], cwd=there, env=BARE, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert list(runs.glob("of 12345/*/*/complete.json"))
    assert not list(there.iterdir())
