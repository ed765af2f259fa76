"""A home for whom there is none."""

import os
import stat
from pathlib import Path

import pytest

from difflab.data.file_store import cache_directory, cache_root
from difflab.runtime.invocation import find_home, temporary_home

VARIABLES = ("HOME", "XDG_CACHE_HOME", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "MPLCONFIGDIR", "DIFFLAB_CACHE")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what find_home sets is taken back
        monkeypatch.delenv(name)


@pytest.mark.parametrize("home", ["/dev/null", "/there/is/none"])
def test_one_that_is_no_folder_is_replaced(home, monkeypatch):
    monkeypatch.setenv("HOME", home)
    find_home()
    assert Path.home() == temporary_home()
    assert cache_root() == temporary_home() / ".cache" / "difflab"


def test_one_that_can_be_written_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    find_home()
    assert Path.home() == tmp_path
    assert not {*VARIABLES[1:]} & {*os.environ}


def test_one_that_can_only_be_read_stays_and_libraries_write_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    writable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and writable(path, mode))  # root may
    find_home()
    assert Path.home() == tmp_path
    assert all(Path(os.environ[name]).is_relative_to(temporary_home()) for name in VARIABLES[1:5])


def test_the_temporary_one_belongs_to_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = temporary_home()
    assert own == temporary_home()
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    own.chmod(0o777)  # somebody else may have put something there
    assert temporary_home() != own


def test_a_cache_that_cannot_be_made_lies_there(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"cannot be written .* \$DIFFLAB_CACHE"):
        folder = cache_directory("features")
    assert folder.is_relative_to(temporary_home())
    assert folder.is_dir()
