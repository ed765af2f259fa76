"""A start of a job has ended: is the run done, is the job to start again, and where?

    eval "$(python -m difflab.launch.slurm.verdict <status of srun>)"       # the last line of slurm/train.sbatch

Reads what the processes have left in $DIFFLAB_JOB (see attempt.py) and not the status alone: with --kill-on-bad-exit that is whichever of
75, 137 and 143 comes first. Says what it found on the standard error, hence in the job's log, and prints lines of shell that do it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from difflab.files import write_json
from difflab.launch.exit_code import REQUEUE_EXIT_CODE
from difflab.launch.slurm.attempt import ProcessEnd, attempt_directory, process_ends

HOPELESS = {
    2: "the command or the data are wrong",
    3: "training diverged",
    4: "a checkpoint could not be written",
}
"""Exit statuses after which the same command would end in the same way."""

WITHOUT_PROGRESS = 3
"""Starts in a row that may end without a new checkpoint."""

HARDWARE = re.compile(
    r"uncorrectable|\becc\b|fallen off the bus|nvlink|xid|hardware|input/output error|stale file handle|"
    r"unhandled system error|bus error|^killed|core dumped",
    re.IGNORECASE,
)
"""Last words that speak against the node rather than against the program."""


@dataclass(frozen=True)
class Attempt:
    """How a start ended.

    failed      or was it interrupted and saved, or did it complete the run?
    step        optimizer steps done when it ended, None if nobody could say
    checkpoint  step of the newest checkpoint, -1 without one
    node        where the first process ended that ended badly, "" if unknown
    reason      its last words
    """

    failed: bool
    step: int | None
    checkpoint: int
    node: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What is to be done: start again, without some nodes, or end with a status."""

    again: bool
    status: int
    message: str
    exclude: tuple[str, ...] = ()


def judge(status: int, complete: bool, ends: Sequence[ProcessEnd], now: Attempt, before: Sequence[Attempt]) -> Verdict:
    """Decides about the start `now`, after those `before`."""
    said = {end.exit_code for end in ends}
    if complete or (status == 0 and said <= {0}):
        return Verdict(False, 0, "the run is complete")
    hopeless = [code for code in (*sorted(said), status) if code in HOPELESS]
    if hopeless:
        return Verdict(False, hopeless[0], f"{HOPELESS[hopeless[0]]}: starting again would not help")
    stuck = [*before[-(WITHOUT_PROGRESS - 1) :], now]
    if len(stuck) == WITHOUT_PROGRESS and len({attempt.checkpoint for attempt in stuck}) == 1:
        return Verdict(
            False,
            1,
            f"{WITHOUT_PROGRESS} starts in a row have brought no new checkpoint: giving up. The last one: {now.reason}",
        )
    if not now.failed:
        return Verdict(True, REQUEUE_EXIT_CODE, "interrupted and saved: starts again")
    where = "before the first step" if now.step is None else f"at optimizer step {now.step}"
    what = f"failed {where}{f' on {now.node}' if now.node else ''} ({now.reason})"
    if any(attempt.failed and attempt.step == now.step and now.step is not None for attempt in before):
        return Verdict(False, 1, f"{what}, as in an earlier start: that will not change, giving up")
    blamed = [a.node for a in (*before, now) if a.failed and a.node and HARDWARE.search(a.reason)]
    exclude = tuple(dict.fromkeys(blamed))
    return Verdict(True, REQUEUE_EXIT_CODE, f"{what}: starts again", exclude)


def first_death(errors: str) -> tuple[str, int | None, str]:
    """(node, rank, what) of the first process that srun says ended badly; ("", None, "") if it says nothing."""
    for line in errors.splitlines():
        found = re.match(r"srun: error: (\S+): tasks? (\d+)\S*: (.*)", line)
        if found:
            node = found[1] if "[" not in found[1] else ""  # several at once: nobody was first
            return node, int(found[2]), found[3]
    return "", None, ""


def describe(
    job: Path, number: int, status: int, ends: Sequence[ProcessEnd], checkpoint: int, complete: bool = False
) -> Attempt:
    """What is known of a start.

    complete   whether the run has reached its end: whatever a process said afterwards, nothing failed
    """
    path = attempt_directory(job, number) / "errors"
    node, rank, death = first_death(path.read_text(errors="replace", encoding="utf-8") if path.exists() else "")
    failures = [end for end in ends if end.exit_code not in (0, REQUEUE_EXIT_CODE)]
    first = next((end for end in failures if rank in (end.rank, None)), None)
    killed = bool(death) and not death.startswith("Exited") and not death.startswith("Terminated")
    interrupted = status == REQUEUE_EXIT_CODE or any(end.exit_code == REQUEUE_EXIT_CODE for end in ends)
    steps = [end.step for end in failures if end.step is not None]
    if complete or (status == 0 and not failures and not interrupted):
        return Attempt(False, checkpoint if checkpoint >= 0 else None, checkpoint, "", "complete")
    if interrupted and not failures and not killed:
        return Attempt(False, checkpoint if checkpoint >= 0 else None, checkpoint, "", "interrupted and saved")
    return Attempt(
        failed=True,
        step=max(steps, default=checkpoint if checkpoint >= 0 and not steps else None),
        checkpoint=checkpoint,
        node=node or (first.host if first else ""),
        reason=(first.error if first else "") or death or f"status {status}",
    )


def main() -> None:
    """Judges the start that has just ended, remembers it, and prints what the batch script is to do."""
    status = int(sys.argv[1])
    job, number = Path(os.environ["DIFFLAB_JOB"]), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    run = Path((job / "run").read_text(encoding="utf-8")) if (job / "run").exists() else None
    checkpoints = run.glob("checkpoints/step-*.ckpt") if run else ()
    checkpoint = max((int(path.stem.removeprefix("step-")) for path in checkpoints), default=-1)
    history = job / "history.json"
    before = (
        [Attempt(**row) for row in json.loads(history.read_text(encoding="utf-8"))]
        if number and history.exists()
        else []
    )
    ends, complete = process_ends(job, number), bool(run and (run / "complete.json").exists())
    now = describe(job, number, status, ends, checkpoint, complete)
    verdict = judge(status, complete, ends, now, before)
    write_json(history, [asdict(attempt) for attempt in (*before, now)])
    print(f"--- start {number} of job {job_name()}: {verdict.message}", file=sys.stderr)
    for line in shell(verdict):
        print(line)


def shell(verdict: Verdict) -> list[str]:
    """Lines of shell that do it. Requeuing ends the script politely first: it stays on to say which nodes to leave out, which SLURM takes
    only for a job that waits."""
    if not verdict.again:
        return [f"exit {verdict.status}"]
    job = job_name()
    lines = ["trap '' TERM", f"scontrol requeue {job} || exit {verdict.status}"]
    if verdict.exclude:
        nodes = ",".join(verdict.exclude)
        if enough_nodes_without(verdict.exclude):
            print(f"--- without {nodes} from now on", file=sys.stderr)
            update = shlex.join(["scontrol", "update", f"JobId={job}", f"ExcNodeList={nodes}"])
            lines.append(f"for i in 1 2 3 4 5; do {update} 2>/dev/null && break; sleep 0.5; done")
        else:
            print(f"--- {nodes} would be left out, but then too few nodes remain", file=sys.stderr)
    return [*lines, "sleep 60", f"exit {verdict.status}"]


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
