"""What a study costs, in the sentence that `plan` prints and that studies' READMEs hold."""

from __future__ import annotations

from collections.abc import Iterable

from difflab.studies.plan import Plan

PREFIXES = "kMGTPEZY"


def cost_sentence(plan: Plan) -> str:
    """6 trainings of 700,000 steps of 256 images: 505 EFLOP. 6 sets of 50,000 samples by 250 calls of the network: 2.35 EFLOP.

    FLOP are those of training, forward and backward, and those of drawing the samples that are measured.
    """
    trained = [plan.rows[t.name.rpartition("/")[2]].facts for t in plan.trainings]
    drawn = [plan.rows[cell.row] for cell in plan.cells]
    steps, batches = _range(one.steps for one in trained), _range(one.batch for one in trained)
    samples, calls = _range(row.samples for row in drawn), _range(row.facts.sampling_calls for row in drawn)
    training, drawing = sum(one.total_flops for one in trained), sum(row.evaluation_flops for row in drawn)
    return (
        f"{len(trained)} trainings of {steps} steps of {batches} images: {flop(training)}. "
        f"{len(drawn)} sets of {samples} samples by {calls} calls of the network: {flop(drawing)}."
    )


def flop(count: float) -> str:
    """Three significant figures with a prefix: 505 EFLOP."""
    for power, prefix in reversed(list(enumerate(PREFIXES, start=1))):
        if count >= 0.9995 * 1000**power:
            return f"{_three(count / 1000**power)} {prefix}FLOP"
    return f"{_three(count)} FLOP"


def _three(value: float) -> str:
    return f"{value:.3g}"


def _range(numbers: Iterable[int]) -> str:
    """10, 10 or 20, 10 to 1,000."""
    found = sorted(set(numbers))
    return f"{found[0]:,} to {found[-1]:,}" if len(found) > 2 else " or ".join(f"{one:,}" for one in found)
