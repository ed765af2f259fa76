"""What process 0 chooses, where a file system shows other machines an older state."""

import threading
import time
import zipfile

import pytest

from difflab.distributed.meeting import Meeting
from difflab.runs import saved_checkpoints as chosen
from difflab.runs.saved_checkpoints import OlderStateError, agreed_checkpoint, own_code, table_of


def checkpoint(folder, step: int, content: str = "a"):
    folder.mkdir(exist_ok=True)
    path = folder / f"step-{step:08d}.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", content)
    return path


@pytest.fixture
def heard(monkeypatch):
    """What process 0 has chosen, as another process hears it."""

    def says(path) -> None:
        answer = f'["{path.name}", "{table_of(path)}"]'
        monkeypatch.setattr(Meeting, "agree", lambda self, topic, choose, lasting=False: answer)

    return says


def test_a_machine_that_sees_an_older_state_says_so(tmp_path, monkeypatch, heard):
    """It would go on from step 3 while the others go on from step 6, and the mixture would be saved."""
    monkeypatch.setattr(chosen, "TIMEOUT", 0.2)
    checkpoint(tmp_path / "here", 3)
    heard(checkpoint(tmp_path / "there", 6))
    with pytest.raises(OlderStateError, match=r"step-00000006\.ckpt, from which process 0 goes on, is not there"):
        agreed_checkpoint(tmp_path / "here")
    checkpoint(tmp_path / "here", 6, "b")
    with pytest.raises(OlderStateError, match="has another content"):
        agreed_checkpoint(tmp_path / "here")


def test_a_file_system_that_lags_is_waited_for(tmp_path, heard):
    heard(checkpoint(tmp_path / "there", 6))
    late = threading.Timer(0.7, lambda: checkpoint(tmp_path / "here", 6))
    checkpoint(tmp_path / "here", 3)
    late.start()
    began = time.monotonic()
    assert agreed_checkpoint(tmp_path / "here") == tmp_path / "here" / "step-00000006.ckpt"
    assert time.monotonic() - began > 0.5


def test_process_0_takes_the_newest(tmp_path):
    checkpoint(tmp_path / "here", 3)
    newest = checkpoint(tmp_path / "here", 6)
    assert agreed_checkpoint(tmp_path / "here") == newest
    assert agreed_checkpoint(tmp_path / "nowhere") is None


def test_the_code_has_a_hash():
    assert len(own_code()) == 10
