"""The sampler whose steps use the predictions of the steps before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.grids import Grid
from difflab.samplers.multistep.quantities import Clean
from difflab.samplers.multistep.rule import Corrector, Rule
from difflab.samplers.multistep.span import Place, Span, Weights, places
from difflab.samplers.multistep.start import StartUp
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk
from difflab.schedules import NoiseSchedule

CLEAN = Clean()
BARE = 100.0
"""Levels beside which those at the end of a step, and those of the data, are nothing."""


class Past(NamedTuple):
    """A prediction of a step before.

    Attributes:
        step: The step's number.
        value: Of what the rule remembers, [B, C, *size].
    """

    step: int
    value: Tensor


class Multistep(Sampler):
    """x_s = a x_t + sum_j w_j q_j (+ noise), q_j being the last predictions of eps or x_0; a and w_j depend on the chain alone.

    One call of the denoiser per step, but for those of a start-up. What differs from sampler to sampler is the `rule`; what all have in
    common is here:

    - The order grows with the number of predictions that there are, and a walk that begins anywhere, or was put back, begins anew.
    - In chains of fewer than `falling` steps the last but one step is of second order at most and the last of first, as in the code of
      DPM-Solver and UniPC: with few steps the last ones are the widest.
    - A step from alpha = 0 (flows, a terminal SNR of zero) is DDIM's, and its prediction is not used later: in lambda it lies infinitely
      far away. So is one down from a level sigma / alpha that is more than 100 times as high as its end, and as the data (the first
      step of a cosine schedule): any change of eps is multiplied by the level there.
    - A step that is many times as wide as the one before (`Rule.widest`) uses its own prediction alone, as the last one down a table whose
      first betas are tiny: over it the last change would be taken several times.
    - A corrector takes the last step once more before the next one is taken. Both steps are sums of the same terms, so only their
      difference is added, to whatever the image is by then.

    Args:
        grid: The times.
        rule: Gives the weights.
        start: Takes the first steps.
        falling: Chains of fewer steps than this end with falling order: 15 in diffusers' DPM-Solver, 10 in its authors'; 0 never does.
        corrector: Takes each step once more; None for none.
    """

    def __init__(self, grid: Grid, rule: Rule, start: StartUp, falling: float = 0, corrector: Corrector | None = None):
        self.grid = grid
        self.rule = rule
        self.start = start
        self.falling = falling
        self.corrector = corrector

    def steps(self, walk: Walk) -> Step:
        self._check_grid(walk.schedule)
        plan = _Plan(self, walk)
        stops, quantity = plan.places, self.rule.quantity
        kept = max(self.rule.order - (self.corrector is None), self.start.steps)
        plan.unbroken(kept)
        starts = [
            None if plan.bare[i] or i == 1 else self.start.planned(walk, quantity, stops[i], stops[i - 1])
            for i in range(1, len(stops))
        ]

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x, past = state.step, state.image, _in_a_row(state)
            at, prediction = stops[i], walk.predict(x, state.t)
            if plan.bare[i]:
                x = _combined(x, plan.from_nothing(i), [prediction.x0])
                return SamplerState(x, stops[i - 1].time, i - 1, x0=prediction.x0)
            past = [Past(i, quantity.of(x, prediction.x0, at)), *past]
            values = [one.value for one in past]
            if (correction := plan.correction(i, len(past) - 1)) is not None:
                x = _combined(x, correction, values)
            if len(past) <= self.start.steps and (started := starts[i - 1]) is not None:
                weights, values = plan.weights(i, 1), [started(x, values[0])]
            else:
                weights = plan.weights(i, len(past))
            x = _combined(x, weights, values)
            if weights.noise:
                x = x + weights.noise * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
            return SamplerState(x, stops[i - 1].time, i - 1, x0=prediction.x0, memory=tuple(past[:kept]))

        return step

    def _check_grid(self, schedule: NoiseSchedule) -> None:
        count = len(self.chain(schedule))
        if count < self.rule.order:
            raise ValueError(
                f"a step of order {self.rule.order} uses as many predictions, and the grid has {count} steps: set sampler.grid.steps to at "
                f"least {self.rule.order}, or sampler.rule.order to at most {count}"
            )


class _Plan:
    """The weights of all steps of a walk."""

    def __init__(self, sampler: Multistep, walk: Walk):
        self.sampler, self.schedule = sampler, walk.schedule
        chain = walk.chain
        self.places = places(chain.times, chain.level)
        self.bare = [False, *(is_bare(begin, end) for end, begin in pairwise(self.places))]
        self.falls = len(chain) < sampler.falling
        self.weights, self.correction = cache(self._weights), cache(self._correction)

    def unbroken(self, kept: int) -> None:
        """Works out the weights of a walk from the chain's last time to its first, at each step of which so many predictions are kept.

        Those of a walk that was put back, and begins anew, are worked out when they are asked for.
        """
        known = 0
        for i in range(len(self.places) - 1, 0, -1):
            if not self.bare[i]:
                self.correction(i, known)
                self.weights(i, known + 1)
                known = min(known + 1, kept)

    def from_nothing(self, i: int) -> Weights:
        """DDIM's weights of a step from pure noise, in x_0."""
        return CLEAN.straight(Span(self.schedule, self.places[i - 1], (self.places[i],)))

    def span(self, i: int, known: int) -> Span:
        """Step i, and what it uses of so many known predictions, its own among them."""
        count = min(known, self.sampler.rule.order, i if self.falls else known)
        span = Span(self.schedule, self.places[i - 1], tuple(self.places[i : i + count]))
        return Span(self.schedule, span.end, span.past[:1]) if span.exceeds(self.sampler.rule.widest) else span

    def _weights(self, i: int, known: int) -> Weights:
        return self.sampler.rule.weights(self.span(i, known))

    def _correction(self, i: int, known: int) -> Weights | None:
        """What is to be added before step i: factors of its own prediction and of those before; None for nothing."""
        corrector, rule = self.sampler.corrector, self.sampler.rule
        if corrector is None or known <= self.sampler.start.steps or not known:
            return None
        span, predicted = self.span(i + 1, known), self.weights(i + 1, known)
        corrected = corrector.weights(span, rule.quantity)
        if corrected.image != predicted.image:
            raise ValueError(
                "a corrector follows the equation without noise: set sampler.rule.eta=0 or sampler.corrector=null"
            )
        padded = (0.0, *predicted.past, *[0.0] * span.order)
        return Weights(1.0, tuple(a - b for a, b in zip(corrected.past, padded, strict=False)))


def is_bare(begin: Place, end: Place) -> bool:
    """Whether a step begins with so little signal that its prediction says nothing of the change on the way."""
    return begin.level > BARE * max(end.level, 1.0)


def _in_a_row(state: SamplerState) -> list[Past]:
    """The predictions of the steps that led here one after the other; those of a walk that was put back do not count."""
    past: Sequence[Past] = state.memory or ()
    return [one for number, one in enumerate(past, state.step + 1) if one.step == number]


def _combined(x: Tensor, weights: Weights, values: list[Tensor]) -> Tensor:
    x = weights.image * x
    for factor, value in zip(weights.past, values, strict=False):
        x = x + factor * value
    return x
