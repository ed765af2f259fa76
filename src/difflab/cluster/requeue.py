"""The requeue decision: a start of a job has ended; is the run done, is the job to start again, and without which nodes?

    python -m difflab.cluster.requeue <status of srun> [<what was being prepared>]        # finish() of slurm/train.sbatch

It reads what the processes have left in $DIFFLAB_JOB (attempts.py) and not the status alone: with --kill-on-bad-exit that is whichever
of 75, 137 and 143 comes first. It says what it found on the standard error, hence in the job's log, and prints lines of shell
that do it. submitit requeues what its own handler has interrupted, and knows no failure, no progress and no node.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path

from difflab.cluster.attempts import (
    HOPELESS,
    SILENT,
    Attempt,
    ProcessEnd,
    attempt_directory,
    attempt_of,
    describe,
    describe_preparation,
    process_ends,
)
from difflab.distributed.placement import host
from difflab.files import write_json
from difflab.reading import read_json
from difflab.runtime.process import BUSY_EXIT_CODE, REQUEUE_EXIT_CODE

WITHOUT_PROGRESS = 3
"""Starts in a row that may fail without a new checkpoint."""

WITHOUT_A_STEP = 5
"""Starts in a row that may be interrupted before they have made a step: a signal may come early, but not always."""

HARDWARE = re.compile(
    r"uncorrectable|\becc\b|fallen off the bus|nvlink|xid|hardware|input/output error|stale file handle|"
    r"unhandled system error|bus error|^killed|core dumped",
    re.IGNORECASE,
)
"""Last words that speak against the node rather than against the program."""


@dataclass(frozen=True)
class Decision:
    """What is to be done: start again, without some nodes, or end with a status."""

    again: bool
    status: int
    message: str
    exclude: tuple[str, ...] = ()


def decide(
    status: int, complete: bool, ends: Sequence[ProcessEnd], now: Attempt, before: Sequence[Attempt]
) -> Decision:
    """The decision about the start `now`, after those `before`."""
    said = {end.exit_code for end in ends}
    if complete or (status == 0 and said <= {0}):
        return Decision(False, 0, "the run is complete")
    if BUSY_EXIT_CODE in said:
        return Decision(False, 0, f"there is nothing to do: {now.reason}")
    hopeless = [code for code in (*sorted(said), status) if code in HOPELESS]
    if hopeless and not now.blamed and not passed_before(now, before):
        why = f" ({now.reason})" if now.step is None else ""
        return Decision(False, hopeless[0], f"{HOPELESS[hopeless[0]]}: starting again would not help{why}")
    stuck = stuck_starts([*before, now])
    if sum(attempt.failed for attempt in stuck) >= WITHOUT_PROGRESS:
        return Decision(
            False,
            1,
            f"{len(stuck)} starts in a row have brought no new checkpoint: giving up. The last one: {now.reason}",
        )
    if len(stuck) >= WITHOUT_A_STEP:
        return Decision(
            False,
            1,
            f"{len(stuck)} starts in a row were interrupted before they had made a step: giving up. The time of a start and run.margin "
            "leave no room for one: give more time (launcher.time), or a smaller run.margin",
        )
    if not now.failed:
        step = "and saved" if len(stuck) == 1 and now.checkpoint >= 0 else "before it had made a step"
        return Decision(True, REQUEUE_EXIT_CODE, f"interrupted {step}: starts again", left_out([*before, now]))
    where = "before the first step" if now.step is None else f"at optimizer step {now.step}"
    what = f"failed {where}{f' on {now.node}' if now.node else ''} ({now.reason})"
    if any(repeats(now, attempt) for attempt in before):
        return Decision(False, 1, f"{what}, as in an earlier start: that will not change, giving up")
    return Decision(True, REQUEUE_EXIT_CODE, f"{what}: starts again", left_out([*before, now]))


def stuck_starts(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The last starts that have brought no new checkpoint: with one alone, it may have brought one."""
    last = attempts[-1].checkpoint
    return list(takewhile(lambda attempt: attempt.checkpoint == last, reversed(attempts)))


def passed_before(now: Attempt, before: Sequence[Attempt]) -> bool:
    """Whether a command that is refused now, before a step, has trained in an earlier start of the job: then it is not the command."""
    return now.step is None and any(attempt.step is not None for attempt in before)


def repeats(now: Attempt, earlier: Attempt) -> bool:
    """Whether a failure is an earlier one again: at the same step, and not by the fault of one node that can be left out."""
    same_step = earlier.failed and earlier.step == now.step and now.step is not None
    its_node = now.blamed or SILENT in now.reason
    return same_step and not (its_node and now.node == earlier.node)


def left_out(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """The nodes that are not to be used any more."""
    silent = Counter(attempt.node for attempt in attempts if attempt.node and SILENT in attempt.reason)
    found: list[str] = []
    for attempt in attempts:
        found += attempt.blamed
        if attempt.failed and attempt.node and (HARDWARE.search(attempt.reason) or silent[attempt.node] > 1):
            found.append(attempt.node)
    return tuple(dict.fromkeys(found))


def main() -> None:
    """Decides about the start that has just ended, remembers it, and prints what the batch script is to do.

    A second argument names what was being prepared: training had not begun.
    """
    status, what = int(sys.argv[1]), "".join(sys.argv[2:])
    job, number = Path(os.environ["DIFFLAB_JOB"]), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    run = Path((job / "run").read_text(encoding="utf-8")) if (job / "run").exists() else None
    checkpoints = run.glob("checkpoints/step-*.ckpt") if run else ()
    checkpoint = max((int(path.stem.removeprefix("step-")) for path in checkpoints), default=-1)
    history = job / "history.json"
    before = [attempt_of(row) for row in read_json(history, list)] if number and history.exists() else []
    ends, complete = process_ends(job, number), bool(run and (run / "complete.json").exists())
    if what:
        errors = attempt_directory(job, number) / "errors"
        said = errors.read_text(errors="replace", encoding="utf-8") if errors.exists() else ""
        now, ends, status = describe_preparation(what, said, checkpoint), [], 2
    else:
        now = describe(job, number, status, ends, checkpoint, complete)
    if now.failed and passed_before(now, before) and os.environ.get("SLURM_JOB_NUM_NODES", "1") == "1":
        now = replace(now, node=host(), blamed=(host(),))  # nobody beside it could tell
    decision = decide(status, complete, ends, now, before)
    write_json(history, [asdict(attempt) for attempt in (*before, now)])
    print(f"--- start {number} of job {job_name()}: {decision.message}", file=sys.stderr)
    for line in shell(decision):
        print(line)


def shell(decision: Decision) -> list[str]:
    """Lines of shell that do it.

    Requeuing ends the script politely first: it stays on to say which nodes to leave out, which SLURM takes only for a job that waits.
    """
    if not decision.again:
        return [f"exit {decision.status}"]
    job = job_name()
    lines = ["trap '' TERM", f"scontrol requeue {job} || exit {decision.status}"]
    if decision.exclude:
        nodes = ",".join(decision.exclude)
        if enough_nodes_without(decision.exclude):
            print(f"--- without {nodes} from now on", file=sys.stderr)
            update = shlex.join(["scontrol", "update", f"JobId={job}", f"ExcNodeList={nodes}"])
            lines.append(f"for i in 1 2 3 4 5; do {update} 2>/dev/null && break; sleep 0.5; done")
        else:
            print(f"--- {nodes} would be left out, but then too few nodes remain", file=sys.stderr)
    return [*lines, "sleep 60", f"exit {decision.status}"]


def job_name() -> str:
    """<job>, or <array>_<index> for one of an array: the first of an array has the array's own number, which would mean all of them."""
    index = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}" if index else os.environ["SLURM_JOB_ID"]


def enough_nodes_without(nodes: Sequence[str]) -> bool:
    """Whether the partition has as many other nodes as the job needs."""
    partition, needed = os.environ.get("SLURM_JOB_PARTITION", ""), int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    states = "idle,alloc,mix,comp,resv"
    try:
        asked = subprocess.run(
            ["sinfo", "-h", "-N", "-p", partition, "-t", states, "-o", "%N"],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False  # not known: a job that waits for ever is worse than a bad node
    return len(set(asked.stdout.split()) - set(nodes)) >= needed


if __name__ == "__main__":
    main()
