"""Every kind of network, of schedule that learns and of objective that holds something goes on where it was, bit for bit."""

import pytest

from difflab.runs import RunDirectory
from methods import METHODS, TEACHER, trained
from running import differences, rewound, saved_state


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("teacher"), *TEACHER)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_was_cut_ends_as_one_that_was_not(tmp_path, name, teacher):
    words = [*METHODS[name], *([f"objective.teacher.checkpoint={teacher.path}"] if name == "reflow" else [])]
    whole = trained(tmp_path / "whole", *words)
    rewound(tmp_path / "whole", tmp_path / "cut", 2)
    again = trained(tmp_path / "cut", *words)
    one, other = saved_state(whole), saved_state(again)
    assert one["global_step"] == other["global_step"] == 4
    for part in ("state_dict", "optimizer_states"):
        assert differences(one[part], other[part], part) == []
    for part in ("EMACallback", "ObjectiveCallback"):
        assert differences(one["callbacks"][part], other["callbacks"][part], part) == []
    for picture in sorted(whole.samples.iterdir()):
        assert picture.read_bytes() == (again.samples / picture.name).read_bytes()
