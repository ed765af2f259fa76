"""Peak memory of training the same network on batches of the same size.

Each contender has a process of its own. Counted is, above what there was before the network was built, on a CPU the resident memory, on a
GPU that of tensors. How equal the networks are the facts say.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from benchmarks.peers.contenders import DIFFLAB, DIFFUSERS
from benchmarks.peers.peak import peak_of
from benchmarks.record import Measurement
from benchmarks.settings import Settings
from benchmarks.training import SMALL, TINY, in_float32, on_gpu

MIB = 2**20
RECOMPUTED = "gradient checkpointing"


def measure(settings: Settings) -> Iterator[Measurement]:
    case = on_gpu() if settings.device.type == "cuda" else in_float32(replace(SMALL, image_size=64), steps=1)
    if settings.quick:
        case = case.small()
    a = case.architecture
    wanted = [(name, contender, a) for name, contender in case.contenders.items() if contender.is_installed]
    wanted += [
        (f"{name}, {RECOMPUTED}", contender, replace(a, recompute=True))
        for name, contender, _ in wanted
        if contender.project in (DIFFLAB, DIFFUSERS)
    ]
    values, facts = {}, {}
    for number, (name, contender, architecture) in enumerate(wanted):
        small, folder = replace(TINY, num_classes=a.num_classes), settings.scratch / str(number)
        # one process after the other, a new one for each; the peak is the same every time, so once is enough
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found = process.submit(peak_of, contender, architecture, small, case.batch, settings.device, folder)
            peak, work = found.result()
        values[name] = [peak / MIB]
        facts[name] = {"parameters": work.parameters, "weights MiB": 4 * work.parameters / MIB}
    baseline = next(name for name in (DIFFUSERS, *values) if name in values)
    yield Measurement("memory", case.described, "MiB", False, values, baseline, facts)
