"""The benchmark of starts: the line that it waits for is that of the first step, and what it does not know it says."""

import pytest
import torch
from benchmarks.settings import Settings
from benchmarks.start import STEPS, measure, watched

SAID = f"import time; print('step 1/{STEPS}  loss 1.0'); time.sleep(0.4); print('runs/x'); time.sleep(0.2)"


def test_times_are_those_of_lines(tmp_path):
    start = watched(["-c", SAID], tmp_path / "err")
    assert start.first_step > 0
    assert start.ending >= 0.2
    assert [line.split()[0] for line in start.lines] == ["step", "runs/x"]


def test_a_failure_is_no_time(tmp_path):
    with pytest.raises(RuntimeError, match=r"ended with 1 .*no such thing"):
        watched(["-c", "raise SystemExit('no such thing')"], tmp_path / "err")
    with pytest.raises(RuntimeError, match="no first step"):
        watched(["-c", "print('step 10/20')"], tmp_path / "err")


def test_everything_is_measured(tmp_path):
    first, ending, commands = measure(Settings(1, True, torch.device("cpu"), tmp_path))
    assert list(first.values) == ["train.py +experiment=cosine_adagn"]
    (config,) = tmp_path.glob("runs-0/*/*/complete.json")
    assert config.read_text(encoding="utf-8"), "a whole training was watched"
    assert len(ending.values["train.py"]) == 1
    assert commands.values.keys() == {"train.py --help", "study.py --help", "difflab info"}
    assert all(values[0] > 0 for values in commands.values.values())
