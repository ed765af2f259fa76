"""How time and memory grow, and whether as they should.

With width, depth, resolution, batch and steps of a training step; with images and steps of drawing; with images and dimensions of a
distance; with the runs of a study. Every size is a contender, so that a machine that becomes slower becomes slower for all sizes; the
exponents follow from the record (`growth_curve`). Memory is that of live tensors, which is counted exactly (`live_memory`).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import growth_studies, growth_training, growth_use
from benchmarks.record import Measurement
from benchmarks.settings import Settings


def measure(settings: Settings) -> Iterator[Measurement]:
    yield from growth_training.measure(settings)
    yield from growth_use.measure(settings)
    yield from growth_studies.measure(settings)
