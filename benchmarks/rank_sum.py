"""The exact rank-sum test of two samples, ties included, and the shift that belongs to it.

If both samples came from one source, every choice of which n of the m + n values are the second sample's is as likely as any other; p is
the share of choices whose ranks add up to at least as much as the ones found (Wilcoxon 1945, Mann and Whitney 1947). Nothing is assumed of
how the noise is distributed, and a single disturbed value has the weight of one rank. Choices are counted, not drawn: the number of
subsets of k ranks with sum s follows by taking in one rank after the other (Streitberg and Röhmel 1986). Equal values share their ranks.

    shift = median_ij (b_j - a_i)        (Hodges and Lehmann 1963: the shift of which the test is least sure that it is wrong)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class RankSum:
    """A rank-sum test of two samples.

    Attributes:
        shift: Of the second sample against the first.
        p_more: Of a second sample at least so large by chance.
        p_less: Of one at least so small.
        attainable: The smallest p_more and p_less that these values, however divided, can give.
    """

    shift: float
    p_more: float
    p_less: float
    attainable: tuple[float, float]


def rank_sum(first: Sequence[float], second: Sequence[float]) -> RankSum:
    """The two one-sided tests of first against second, each of at least one value."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    ranks = np.rint(2 * rankdata(np.concatenate([a, b]))).astype(int)  # twice, since shared ranks end in a half
    share = _shares(ranks, len(b))
    found, possible = int(ranks[len(a) :].sum()), np.flatnonzero(share)
    return RankSum(
        shift=float(np.median(b[None] - a[:, None])),
        p_more=float(share[found:].sum()),
        p_less=float(share[: found + 1].sum()),
        attainable=(float(share[possible[-1]]), float(share[possible[0]])),
    )


def _shares(ranks: np.ndarray, count: int) -> np.ndarray:
    """[sum + 1]: of all choices of `count` ranks the share that adds up to each sum."""
    ways = np.zeros((count + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return ways[count] / ways[count].sum()
