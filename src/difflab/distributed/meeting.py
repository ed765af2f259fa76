"""What the processes of a command tell each other before they are connected: each says what it has found, process 0 decides.

agree("directory", choose)       what process 0 chooses, on every process
roll_call({"configuration": x})  all are ready and have the same facts; else every process ends, and one says why
adjourn()                        the work begins: from here on nobody waits for what another has to say

What some processes see and others do not is the fault of their machines; what all see is the command's.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache

from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

from difflab.distributed.group import Group, ProcessMissingError
from difflab.distributed.placement import Placement, placement
from difflab.reading.json import dumps
from difflab.runtime.process import launched_rank

TIMEOUT = 600.0
"""Seconds that processes may be apart: imports and data sets are read from slow file systems."""

_LEAVING = 10.0
_DECIDED = "DIFFLAB_DECIDED"

__all__ = [
    "EndedElsewhere",
    "Meeting",
    "NodeError",
    "ProcessMissingError",
    "Report",
    "attended",
    "judge",
    "meeting",
    "status_of",
]


class NodeError(RuntimeError):
    """Some processes cannot do what the others can: the message names them.

    Attributes:
        nodes: Their machines.
        speaks: Whether this process is the one that says so.
    """

    def __init__(self, message: str, nodes: Sequence[str], speaks: bool):
        super().__init__(message)
        self.nodes = tuple(nodes)
        self.speaks = speaks


class EndedElsewhere(Exception):  # no fault of this process
    """Another process has refused for all of them, and says why."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Report:
    """What a process says at a roll call: that it is ready and what it has, or what is wrong and with which status it ends."""

    host: str
    facts: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    status: int = 0


def judge(
    reports: Mapping[int, Report], missing: Sequence[int] = (), timeout: float = TIMEOUT
) -> tuple[str, tuple[str, ...]]:
    """What is wrong with some of the processes and not with others, and their machines; ("", ()) if nothing is or all fail alike.

    Args:
        reports: By rank.
        missing: Ranks that have not come.
        timeout: Seconds for which they were waited for.
    """
    if missing:
        hosts = ", ".join(dict.fromkeys(report.host for report in reports.values()))
        ranks = ", ".join(map(str, missing))
        came = f"{len(reports)} of {len(reports) + len(missing)} came, of {hosts}"
        return f"process {ranks} did not come within {timeout:g} s ({came})", ()
    failed = {rank: report for rank, report in reports.items() if report.error}
    if failed and len(failed) < len(reports):
        first = min(failed)
        nodes = tuple(dict.fromkeys(report.host for report in failed.values()))
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return (
            f"process {first} on {failed[first].host}{others}: {failed[first].error.rstrip('.')}. The other processes do not find that",
            nodes,
        )
    if failed:
        return "", ()
    for name in next(iter(reports.values())).facts:
        values = {rank: report.facts.get(name, "") for rank, report in reports.items()}
        (usual, count), *others = Counter(values.values()).most_common()
        if others:
            usual = values[0] if count == others[0][1] else usual  # none is more frequent: process 0 counts
            other = next(rank for rank, value in values.items() if value != usual)
            nodes = tuple(dict.fromkeys(reports[rank].host for rank, value in values.items() if value != usual))
            same = next(rank for rank, value in values.items() if value == usual)
            return (
                f"process {other} on {reports[other].host} has another {name} ({values[other]}) than process {same} on "
                f"{reports[same].host} ({usual}): all machines need the same code, configuration and files"
            ), nodes
    return "", ()


class Meeting:
    """The processes of a command that torchrun or srun has started; those that Lightning starts hear of decisions by the environment."""

    def __init__(self, place: Placement, timeout: float = TIMEOUT):
        self.place = place
        self.timeout = timeout
        self.open = place.size > 1
        self._calls = 0
        self._topics: Counter[str] = Counter()
        self._group: Group | None = None

    @property
    def group(self) -> Group:
        """Of those that have come; the first question waits for everybody."""
        if self._group is None:
            self._group = Group(self.place, timeout=self.timeout, arrival=self.timeout)
            self._group.meet()
            if self._group.missing:
                reports = {rank: Report(host) for rank, host in self._group.hosts.items()}
                self._part(*judge(reports, sorted(self._group.missing), self.timeout), self._group.missing)
        return self._group

    def store(self, topic: str) -> Store:
        """A place of their own for what other things have to say."""
        return self.group.another_store(topic)

    def agree(self, topic: str, choose: Callable[[], str], lasting: bool = False) -> str:
        """What process 0 chooses. If it fails, the others end as it does.

        Args:
            topic: What is chosen.
            choose: Chooses.
            lasting: Whether processes that torchrun starts in place of dead ones take the same.
        """
        if self.place.size == 1:
            return _agreed_by_environment(topic, choose)
        self._topics[topic] += 1
        key = f"{topic}/{self._topics[topic]}"
        if lasting and self.place.hosted:
            return self._lasting(topic, choose)
        group = self.group
        if group.rank != 0:
            heard = group.hear(f"agreed/{key}", self.timeout)
            if "chosen" not in heard:
                raise EndedElsewhere(heard["status"], heard["error"])
            return heard["chosen"]
        try:
            chosen = choose()
        except BaseException as error:
            group.say(f"agreed/{key}", {"error": " ".join(str(error).split()), "status": status_of(error)})
            self.end()
            raise
        group.say(f"agreed/{key}", {"chosen": chosen})
        return chosen

    def roll_call(self, facts: Mapping[str, str]) -> None:
        """Waits until every process is ready.

        Raises:
            NodeError: Some are not, or have other facts.
        """
        if self.open:
            self._call(Report(self.group.hosts[self.place.rank], facts))

    def refuse(self, message: str, status: int) -> bool:
        """Tells the others that this process cannot go on, and hears whether they can; whether this process is the one that says why.

        Once the work has begun nobody is asked, and the first that comes says why.

        Raises:
            NodeError: They can.
        """
        if not self.open:
            return self._group is None or self._group.first("failure")
        try:
            self._call(Report(self.group.hosts[self.place.rank], {}, message, status))
        except EndedElsewhere:
            return False
        return self.place.rank == 0

    def leave(self, message: str, status: int) -> None:
        """The same without waiting for an answer."""
        if self.open and self._group is not None:
            self._calls += 1
            with contextlib.suppress(Exception):
                self._group.answer(
                    f"roll call {self._calls}", asdict(Report(self._group.hosts[self.place.rank], {}, message, status))
                )

    def adjourn(self) -> None:
        self.open = False

    def end(self) -> None:
        """Nobody has anything to say any more; who keeps the meeting place leaves last."""
        if self.open and self._group is not None:
            with contextlib.suppress(Exception):
                self._group.answer("goodbye", "")
                if self.place.rank == 0 and not self.place.hosted:
                    self._group.answers("goodbye", _LEAVING)
        self.open = False

    def convene(self) -> None:
        """For another run of the same processes."""
        self.open = self.place.size > 1

    def _call(self, mine: Report) -> None:
        self._calls += 1
        topic, group = f"roll call {self._calls}", self.group
        group.answer(topic, asdict(mine))
        answers = group.answers(topic, self.timeout)
        reports = {rank: Report(**answer) for rank, answer in answers.items()}
        message, nodes = judge(reports, sorted(group.missing), self.timeout)
        if not message and all(not report.error for report in reports.values()):
            return
        self._part(message, nodes, group.missing, mine, reports)

    def _part(
        self,
        message: str,
        nodes: Sequence[str],
        missing: set[int],
        mine: Report | None = None,
        reports: Mapping[int, Report] | None = None,
    ) -> None:
        """Everybody has heard of it."""
        self.end()
        if message:
            raise NodeError(message, nodes, speaks=self.place.rank == min(set(range(self.place.size)) - missing))
        assert mine is not None
        assert reports is not None
        if self.place.rank != 0:
            raise EndedElsewhere(mine.status, reports[0].error)

    def _lasting(self, topic: str, choose: Callable[[], str]) -> str:
        """In the part of torchrun's store that all of its attempts see."""
        from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]

        store = PrefixStore(f"difflab/{os.environ['TORCHELASTIC_RUN_ID']}", self.group.whole_store())
        if self.place.rank == 0 and not store.check([topic]):
            store.set(topic, choose())
        return store.get(topic).decode()


@cache
def meeting() -> Meeting:
    """Of this process."""
    found = Meeting(placement())
    atexit.register(found.end)
    return found


def status_of(error: BaseException) -> int:
    """The exit status with which an exception ends a command."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return int(getattr(error, "exit_code", 2 if isinstance(error, ValueError) else 1))


@contextlib.contextmanager
def attended() -> Iterator[None]:
    """What ends unexpectedly inside does not let the others wait."""
    meeting().convene()
    try:
        yield
    except BaseException as error:
        meeting().leave(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500], status_of(error))
        raise
    finally:
        os.environ.pop(_DECIDED, None)  # of this run, and no matter of the next one in this process


def _agreed_by_environment(topic: str, choose: Callable[[], str]) -> str:
    """What the first process has chosen before Lightning has it start the others, with its environment."""
    decided: dict[str, str] = json.loads(os.environ.get(_DECIDED, "{}"))
    if launched_rank() == 0 or topic not in decided:
        decided[topic] = choose()
        os.environ[_DECIDED] = dumps(decided)
    return decided[topic]
