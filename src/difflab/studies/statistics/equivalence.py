"""Two one-sided tests: is the difference too small to matter?

H0: |delta| >= margin        p = max(p of delta <= -margin, p of delta >= margin), each by Student's t        (Schuirmann 1987)

p <= alpha exactly where the interval of level 1 - 2 alpha lies within the margin. A difference that is not significant is no equivalence:
few seeds leave both open. The margin brings its own scale: one in per cent is tested on logarithms, -/+ log(1 + margin).

From eight seeds on Student's t sees the mean of skewed differences rather than the typical seed, and calls 8 to 23 % equivalent that lie at
the margin. One-sided sign tests at both margins are then asked besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from difflab.studies.scale import Margin
from difflab.studies.statistics import student
from difflab.studies.statistics.paired import PairedDifference, rarely

SIGNS_FROM = 8
"""Seeds from which on the sign tests are asked."""


@dataclass(frozen=True)
class Equivalence:
    """What the two tests found.

    Attributes:
        margin: The difference that is of no interest.
        difference: On the margin's scale.
        p: Before Holm; None for one seed.
        interval: Of level 1 - 2 alpha, as it is told; None for one seed.
    """

    margin: Margin
    difference: PairedDifference
    p: float | None
    interval: tuple[float, float] | None


def equivalence(difference: PairedDifference, margin: Margin) -> Equivalence:
    """Tests whether a difference lies within a margin.

    Where all differences are equal, each side is a sign flip: n differences on the inner side of the margin have p = 2^-n.

    Args:
        difference: On the scale of the margin.
        margin: The difference that is of no interest.
    """
    if difference.scale is not margin.scale:
        raise ValueError(f"margin {margin}: the difference is not on the margin's scale")
    mean, sd, n, reach = difference.mean, difference.sd, difference.n, margin.reach
    if sd is None:
        return Equivalence(margin, difference, None, None)
    if sd == 0:
        p = 0.5**n if abs(mean) < reach else 1.0
    else:
        p = float(max(student.above_zero(reach + mean, sd, n), student.above_zero(reach - mean, sd, n)))
    if n >= SIGNS_FROM:
        signs = max(
            _signs([-d for d in difference.differences.values()], reach), _signs(difference.differences.values(), reach)
        )
        p = p if signs <= difference.alpha else max(p, signs)
    return Equivalence(margin, difference, p, difference.told(difference.interval_at(2 * difference.alpha)))


def _signs(differences: Iterable[float], reach: float) -> float:
    """p of the sign test that the typical difference lies above the margin or at it."""
    outside = [d >= reach for d in differences]
    return rarely(sum(outside), len(outside))
