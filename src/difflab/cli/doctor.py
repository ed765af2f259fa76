"""Examining the environment: `difflab doctor`, alone, or in every process of a run by torchrun or srun."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from difflab.cluster.doctor import Report

EPILOG = """examples
  difflab doctor                                             this machine
  difflab doctor +experiment=cosine_adagn seed=1             and whether this run finds its data, disk and logger
  torchrun --nproc_per_node 8 -m difflab doctor              and the connection between the processes
  srun difflab doctor                                        the same on the nodes of a SLURM job

Exit status: 0 fine, perhaps with warnings; 1 something failed; 2 the command is wrong."""


def main() -> None:
    """The command line of `difflab doctor`."""
    from difflab.cli.entry import arguments

    parser = argparse.ArgumentParser(
        "difflab doctor",
        description="Examines the environment before hours are wasted.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="path=value", help="arguments of the training command")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="that each check may take (60)")
    options = parser.parse_intermixed_args(arguments())
    if options.timeout <= 0:
        parser.error("--timeout must be positive")
    rank, report, hanging = doctor(options.overrides, options.timeout)
    if rank == 0:
        show(report, options.json)
        tell_job(report)
    leave(report.exit_code, hanging)


def doctor(overrides: list[str], seconds: float) -> tuple[int, Report, bool]:
    """(this process's rank, the report, whether a check hangs on in a thread)."""
    from difflab.cli.endings import fail
    from difflab.cluster.doctor import Examination, Report
    from difflab.cluster.doctor.check import failed
    from difflab.cluster.doctor.run_checks import checks_of
    from difflab.distributed import ALONE, Group, ProcessMissingError, placement

    place = ALONE
    with stdout_to_stderr():  # libraries greet on the standard output
        try:
            checks = checks_of(overrides)
        except (ValueError, RuntimeError) as error:  # of the configuration, or of the data
            fail(" ".join(str(error).split()))
        try:
            place = placement()
            group = Group(place, timeout=seconds / 2, arrival=2 * seconds)
            examination = Examination(checks, group, seconds)
            report = examination.run()
        except (ProcessMissingError, OSError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            advice = "look whether all processes were started and the nodes reach each other"
            return place.rank, Report(place.size, {}, {"processes": failed(str(error), advice)}), True
    return place.rank, report, examination.hanging


def show(report: Report, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        print(report.as_json())
    else:
        width = None if sys.stdout.isatty() else 140
        Console(width=width, highlight=False).print(report.as_table())


def tell_job(report: Report) -> None:
    """What the job in which this is the beginning has to know: whether it can work at all, or which machines to leave out."""
    from difflab.cluster.attempts import record_end
    from difflab.cluster.doctor import Verdict

    failures = {name: finding for name, finding in report.findings.items() if finding.verdict is Verdict.FAILED}
    if not failures:
        return
    words = "; ".join(f"{name}: {finding.found}" for name, finding in failures.items())
    everywhere = [finding for finding in failures.values() if not finding.nodes]
    nodes = () if everywhere else dict.fromkeys(node for finding in failures.values() for node in finding.nodes)
    record_end(1 if nodes else 2, error=f"difflab doctor: {words}", nodes=tuple(nodes))


def leave(code: int, hanging: bool) -> NoReturn:
    """Ends the process, without waiting for a thread that hangs."""
    if hanging:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What is written to the standard output inside, by compiled code too, goes to the standard error."""
    streams: list[TextIO | Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        stream.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
