"""How many files a process may have open: data workers hand over batches as open files, and each connection to another process is one."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Any

from difflab.launch.doctor.check import Check, Measured
from difflab.launch.doctor.finding import Finding, failed, ok, warning, worst
from difflab.launch.group import Group

ALWAYS, PER_WORKER, PER_PROCESS = 256, 128, 4
"""Files of Python, torch and the logger; of a data worker and the batches under way; of another process."""


class OpenFiles(Check):
    """workers   data.num_workers"""

    name = "open files"
    remedy = "ulimit -n"

    def __init__(self, workers: int):
        self.workers = workers

    def measure(self, group: Group) -> dict[str, Any]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = ALWAYS + PER_WORKER * self.workers + PER_PROCESS * group.size
        return {"soft": soft, "hard": hard, "needed": needed}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        troubles = []
        for one in measured:
            soft, hard, needed = (one.facts[key] for key in ("soft", "hard", "needed"))
            if soft == resource.RLIM_INFINITY or soft >= needed:
                continue
            found = f"{one.who} may open {soft} files, about {needed} may be needed"
            if hard == resource.RLIM_INFINITY or hard >= needed:
                troubles.append(warning(found, f"ulimit -n {needed} before the command, or in the profile's setup"))
            else:
                troubles.append(failed(found, f"the hard limit is {hard}: have it raised, or lower data.num_workers"))
        fewest = min(
            (one.facts["soft"] for one in measured), key=lambda n: float("inf") if n == resource.RLIM_INFINITY else n
        )
        limit = "no limit" if fewest == resource.RLIM_INFINITY else f"{fewest} per process"
        return worst(troubles, ok(f"{limit}, about {measured[0].facts['needed']} needed"))
