"""What processes tell each other before they are connected: who is to blame, and that one line says so."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from difflab.distributed.meeting import EndedElsewhere, Meeting, NodeError, Report, judge
from difflab.distributed.placement import Placement


def met(*what: Callable[[Meeting], Any], timeout: float = 20.0) -> list[Any]:
    """What each of so many processes (here threads) does at one meeting, or how it ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def one(rank: int) -> Any:
        place = Placement("srun", rank, len(what), 0, 1, "127.0.0.1", port, False, "1.0")
        meeting = Meeting(place, timeout)
        try:
            return what[rank](meeting)
        except Exception as error:
            return error
        finally:
            meeting.end()

    with ThreadPoolExecutor(len(what)) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(len(what))]]


def ready(meeting: Meeting) -> str:
    meeting.roll_call({"configuration": "a"})
    return "ready"


def test_what_some_do_not_find_is_their_machines_fault():
    """Also where the one that fails comes first, and where it is process 0."""
    message = "/data/images: there is no such folder"
    for failing in (0, 1):
        what = [ready, ready, ready]
        what[failing] = lambda meeting: meeting.refuse(message, 2)  # type: ignore[assignment,return-value]
        said = met(*what)
        assert all(isinstance(error, NodeError) for error in said), said
        assert len({str(error) for error in said}) == 1
        assert f"process {failing} on" in str(said[0])
        assert message in str(said[0])
        assert [error.speaks for error in said] == [True, False, False]


def test_what_all_refuse_is_said_once():
    assert met(*3 * [lambda meeting: meeting.refuse("trainer.max_stepz: did you mean max_steps?", 2)]) == [
        True,
        False,
        False,
    ]


def test_what_process_0_chooses_is_chosen_for_all():
    said = met(*(lambda meeting, rank=rank: meeting.agree("run", lambda: f"of {rank}") for rank in range(3)))
    assert said == ["of 0"] * 3


def test_who_waits_for_a_choice_ends_with_process_0():
    class Busy(RuntimeError):
        exit_code = 5

    def busy() -> str:
        raise Busy("the run is being worked on")

    first, second = met(*2 * [lambda meeting: meeting.agree("lock", busy)])
    assert isinstance(first, Busy)
    assert isinstance(second, EndedElsewhere)
    assert (second.status, str(second)) == (5, "the run is being worked on")


def test_another_configuration_on_one_machine_is_refused():
    facts = [{"code": "a"}, {"code": "b"}, {"code": "a"}]
    said = met(*(lambda meeting, rank=rank: meeting.roll_call(facts[rank]) for rank in range(3)))
    assert all("process 1 on" in str(error) and "another code (b) than process 0" in str(error) for error in said)


def test_who_does_not_come_is_named():
    began = time.monotonic()
    said = met(ready, lambda meeting: None, timeout=0.5)
    assert "process 1 did not come within 0.5 s" in str(said[0])
    assert time.monotonic() - began < 15


def test_who_is_blamed():
    """The machines of those that differ; where none is more frequent, process 0 is right."""
    fine, bad, worse = Report("n1", {"x": "1"}), Report("n2", {"x": "2"}), Report("n3", {"x": "1"}, "no such file", 2)
    assert judge({0: fine, 1: fine}) == ("", ())
    assert judge({0: fine, 1: bad})[1] == ("n2",)
    assert judge({0: bad, 1: fine, 2: fine})[1] == ("n2",)
    assert judge({0: fine, 1: bad, 2: worse})[1] == ("n3",)
    assert judge({0: worse, 1: worse}) == ("", ())


@pytest.mark.parametrize("rank", [0, 1])
def test_what_ends_unexpectedly_lets_nobody_wait(rank):
    def broken(meeting: Meeting) -> None:
        meeting.agree("run", str)
        meeting.leave("KeyError: 'x'", 1)

    def waits(meeting: Meeting) -> None:
        meeting.agree("run", str)
        ready(meeting)

    what = [waits, waits]
    what[rank] = broken
    assert f"process {rank} on" in str(met(*what)[1 - rank])
