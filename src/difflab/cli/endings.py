"""How a command ends where it does not come to its end: a line of one process, and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from difflab.config.sweep_rows import Ended


def fail(message: str, status: int = 2) -> NoReturn:
    """One line to the standard error, by one of the processes, and an exit status.

    It is the one given where all processes fail so, 1 where others do not, which is the fault of a machine.
    """
    from difflab.runtime.process import launched_together

    speaks, nodes = True, ()
    if launched_together():
        from difflab.distributed.meeting import NodeError, ProcessMissingError, meeting

        try:
            speaks = meeting().refuse(message, status)
        except NodeError as error:
            message, status, nodes, speaks = str(error), 1, error.nodes, error.speaks
        except ProcessMissingError as error:
            message, status = f"{message} ({error})", 1
    end(message, status, nodes, speaks)


def end(message: str, status: int, nodes: Sequence[str] = (), speaks: bool = True) -> NoReturn:
    """Ends this process; what a job is to know of it is written down.

    Args:
        message: Why.
        status: With which it ends.
        nodes: Machines whose fault it is.
        speaks: Whether it is this process that says why.
    """
    if "DIFFLAB_JOB" in os.environ:
        from difflab.cluster.attempts import record_end

        record_end(status, error=message, nodes=nodes)
    if speaks:
        from difflab.reading import printable  # it may name a file of a stranger

        print(f"error: {printable(message)}", file=sys.stderr)
    raise Ended(status, message)


@contextmanager
def ended_together() -> Iterator[None]:
    """What another process, or a machine, has to do with the end of this one becomes a line of one of them."""
    from difflab.distributed.meeting import EndedElsewhere, NodeError, ProcessMissingError, attended

    with attended():
        try:
            yield
        except EndedElsewhere as other:
            end(str(other), other.status, speaks=False)
        except NodeError as error:
            end(str(error), 1, error.nodes, error.speaks)
        except ProcessMissingError as error:
            end(str(error), 1)


@contextmanager
def ends_in_a_line(place: str = "") -> Iterator[None]:
    """Errors of drawing and measuring become a line and an exit status; being stopped asks for the same command again.

    Args:
        place: Where the images lie, said before the line of a command that was stopped; "" for nowhere in particular.
    """
    from difflab.config.build import one_line
    from difflab.runs.saved_checkpoints import OlderStateError
    from difflab.runtime import REQUEUE_EXIT_CODE, launched_rank
    from difflab.sampling import SamplingError, SamplingStopped

    with ended_together():
        try:
            with one_line():
                yield
        except SamplingStopped as reason:
            if launched_rank() == 0:
                print(f"{place}: {reason}" if place else f"{reason}", file=sys.stderr)
            sys.exit(REQUEUE_EXIT_CODE)
        except SamplingError as error:  # of all processes
            end(" ".join(str(error).split()), 2, speaks=launched_rank() == 0)
        except (ValueError, OSError, ImportError) as error:
            fail(" ".join(str(error).split()))
        except OlderStateError as error:
            fail(str(error), 1)
