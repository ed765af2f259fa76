"""The data of the run: found, readable and the same for all processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from difflab.launch.doctor.check import Check, Measured, NotApplicableError, differing
from difflab.launch.doctor.finding import Finding, failed, ok, worst
from difflab.launch.group import Group


class DataReachable(Check):
    """first_images   opens the run's data set and reads images of it: (how many there are, shape of one, a hash of some); None if no run
    is named"""

    name = "data"
    remedy = "every node must see the data set: data.dataset.root on the shared file system, or stage_in of the cluster's profile"

    def __init__(self, first_images: Callable[[], tuple[int, list[int], str]] | None):
        self.first_images = first_images

    def measure(self, group: Group) -> dict[str, Any]:
        if self.first_images is None:
            raise NotApplicableError("no run is named: add +experiment=... as in the training command")
        start = time.perf_counter()
        count, shape, digest = self.first_images()
        return {"count": count, "shape": shape, "digest": digest, "seconds": time.perf_counter() - start}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        words = {
            "count": "numbers of images",
            "shape": "sizes of images",
            "digest": "contents of the first and last image",
        }
        troubles = [
            failed(
                f"different {what}: {who}",
                "each node has data of its own: copy one data set to all, or use the shared file system",
            )
            for key, what in words.items()
            if (who := differing(measured, key))
        ]
        facts = measured[0].facts
        shape = "x".join(str(n) for n in facts["shape"])
        slowest = max(one.facts["seconds"] for one in measured)
        return worst(troubles, ok(f"{facts['count']} images of {shape}, opened in {slowest:.2g} s"))
