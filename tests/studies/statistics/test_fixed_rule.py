"""Why the last step of one fixed track counts, and not the best of the checkpoints: what the package's text says, simulated."""

import numpy as np
import pytest
from scipy.stats import binom

from difflab.studies.statistics import Outcome, Pair, judge
from fabricated import info

SEEDS, STUDIES, FID = 5, 1500, info("fid")


def studies(pick, looks):
    """How often two arms of the same true FID 10 are told apart, and the row's mean; each checkpoint's number has an error of 1."""
    rng = np.random.default_rng(0)
    told, total = 0, 0.0
    for _ in range(STUDIES):
        row = pick(10 + rng.normal(0, 1, (SEEDS, looks)))
        base = pick(10 + rng.normal(0, 1, (SEEDS, 5)))
        found = judge({"row": Pair(dict(enumerate(row)), dict(enumerate(base)), "base")}, "fid", FID)["row"]
        told += found.outcome is not Outcome.INCONCLUSIVE
        total += row.mean() / STUDIES
    return told, total


def last(checkpoints):
    return checkpoints[:, -1]


def best(checkpoints):
    return checkpoints.min(1)


def test_the_last_step_is_unbiased_and_keeps_the_level():
    told, mean = studies(last, looks=20)
    low, high = binom.interval(1 - 1e-5, STUDIES, 0.05)
    assert low <= told <= high
    assert mean == pytest.approx(10, abs=4.5 / np.sqrt(STUDIES * SEEDS))


def test_the_best_checkpoint_is_too_good_by_what_the_text_says_and_wins_by_being_measured_more_often():
    told, mean = studies(best, looks=20)
    assert mean == pytest.approx(10 - 1.87, abs=0.03)
    assert told > 0.15 * STUDIES
    assert studies(best, looks=5)[1] == pytest.approx(10 - 1.163, abs=0.03)  # too good without a rival, too
