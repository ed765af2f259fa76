"""The best of several settings, without the winner's luck.

The best of many noisy numbers is better than it deserves: choosing and reporting on the same samples gives a number that other samples do
not repeat. So the choice is made on one half of the noise bank and the number comes from the other, which had no part in the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from difflab.metrics import Measurement
from difflab.metrics.results import is_higher_better


@dataclass(frozen=True)
class Choice:
    """index     of the chosen candidate
    chosen_by    its measurement on the half on which it was the best
    reported     its measurement on the other half
    """

    index: int
    chosen_by: Measurement
    reported: Measurement


def choose(first: Sequence[Measurement], second: Sequence[Measurement]) -> Choice:
    """The best on the first half, among those that have a number there.

    first, second   one metric of each candidate on the two halves of the same noise bank
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"as many candidates on both halves, and at least one: got {len(first)} and {len(second)}")
    if len({m.metric for m in (*first, *second)}) != 1:
        raise ValueError(f"one metric decides, got {', '.join(sorted({m.metric for m in (*first, *second)}))}")
    sign = -1 if is_higher_better(first[0]) else 1
    usable = [i for i, one in enumerate(first) if math.isfinite(one.value)]
    if not usable:
        raise ValueError(f"{first[0].metric} of every candidate is no number: {first[0].why or first[0].value}")
    index = min(usable, key=lambda i: sign * first[i].value)
    return Choice(index, first[index], second[index])
