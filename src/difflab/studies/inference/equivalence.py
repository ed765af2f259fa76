"""Two one-sided tests: is the difference too small to matter?

H0: |delta| >= margin        p = max(p of delta <= -margin, p of delta >= margin), each by Student's t        (Schuirmann 1987)

p <= alpha exactly where the interval of level 1 - 2 alpha lies within the margin. A difference that is not significant is no equivalence:
few seeds leave both open.
"""

from __future__ import annotations

from dataclasses import dataclass

from difflab.studies.inference import student
from difflab.studies.inference.paired import PairedDifference


@dataclass(frozen=True)
class Equivalence:
    """margin    the difference that is of no interest
    p         None for one seed
    interval  of level 1 - 2 alpha; None for one seed
    """

    margin: float
    p: float | None
    interval: tuple[float, float] | None


def equivalence(difference: PairedDifference, margin: float) -> Equivalence:
    """Where all differences are equal, each side is a sign flip: n differences on the inner side of the margin have p = 2^-n."""
    if not margin > 0:
        raise ValueError(f"margin = {margin}: expected a difference above 0 that is of no interest")
    mean, sd, n = difference.mean, difference.sd, difference.n
    if sd is None:
        return Equivalence(margin, None, None)
    if sd == 0:
        p = 0.5**n if abs(mean) < margin else 1.0
    else:
        p = float(max(student.above_zero(margin + mean, sd, n), student.above_zero(margin - mean, sd, n)))
    return Equivalence(margin, p, difference.interval_at(2 * difference.alpha))
