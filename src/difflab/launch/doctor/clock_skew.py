"""The nodes' clocks, read by all processes when they leave a barrier together. Good to some hundredths of a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.finding import Finding, failed, ok, warning
from difflab.launch.group import Group

NOTICEABLE, HARMFUL = 1.0, 30.0


class ClockSkew(Check):
    name = "clocks"
    remedy = "a process is missing: see above"

    def measure(self, group: Group) -> dict[str, Any]:
        if group.size == 1:
            raise NotApplicableError("one process has one clock")
        group.barrier("clocks")
        return {"time": time.time()}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        times = sorted((one.facts["time"], one.host) for one in measured)
        (earliest, slow), (latest, fast) = times[0], times[-1]
        apart = latest - earliest
        found = f"{apart:.2g} s between {slow} and {fast}" if slow != fast else f"within {apart:.2g} s, all on {slow}"
        remedy = "have the nodes' clocks set (chrony, ntpd)"
        if apart > HARMFUL:
            return failed(f"{found}: time limits and certificates are judged by these clocks", remedy)
        return warning(found, remedy) if apart > NOTICEABLE else ok(found)
