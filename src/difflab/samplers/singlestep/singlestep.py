"""The sampler whose steps evaluate the denoiser on the way and remember nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import NamedTuple

import torch

from difflab.noise import Noise
from difflab.samplers.grids import Grid
from difflab.samplers.multistep import Place, Quantity, Span
from difflab.samplers.multistep.multistep import CLEAN, is_bare
from difflab.samplers.multistep.span import places
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk
from difflab.samplers.singlestep.noises import StepNoise
from difflab.samplers.singlestep.orders import Leap, Orders
from difflab.samplers.singlestep.weights import at_end, at_node
from difflab.schedules import time_of


class Stage(NamedTuple):
    """An evaluation, and what is made of all evaluations so far; plain numbers, so that no GPU is waited for.

    Attributes:
        at: Where the denoiser is asked.
        image: Factor of x_t, the image at the beginning of the step.
        past: Factors of the predictions, the first one first.
        noise: Standard deviation of the noise that is added to what comes out.
    """

    at: Place
    image: float
    past: tuple[float, ...]
    noise: float


class Planned(NamedTuple):
    """A step.

    Attributes:
        stages: Its evaluations, at least one.
        quantity: Of which the factors are.
        end: The number of the time at which it arrives.
    """

    stages: tuple[Stage, ...]
    quantity: Quantity
    end: int


class Singlestep(Sampler):
    """x = a x_t - d sum_j w_j q_j at the places on the way and at the end, q_j being eps or x_0 at the places before.

    Exponential Runge-Kutta methods in lambda = log(alpha / sigma) (Lu et al. 2022, DPM-Solver, arXiv 2206.00927, and DPM-Solver++, arXiv
    2211.01095). In eps with one place half the way, order 2 is the midpoint method in log sigma: DPM2 of k-diffusion, too. Order 1 is DDIM,
    or Euler's method. Places on the way lie at 1/2, or 1/3 and 2/3, of the step in lambda, or at the grid's own times (`PerEvaluation`);
    between the steps of a table time and level are interpolated, and the network is told the time in between.

    The step to the clean image is of first order, and so is one from almost no signal (see `is_bare`).

    Args:
        grid: The times.
        orders: Order and width of each step.
        quantity: Eps (DPM-Solver, DPM2) or Clean (DPM-Solver++).
        noise: How much is drawn anew.
    """

    def __init__(self, grid: Grid, orders: Orders, quantity: Quantity, noise: StepNoise):
        self.grid = grid
        self.orders = orders
        self.quantity = quantity
        self.noise = noise

    def steps(self, walk: Walk) -> Step:
        stops = places(walk.chain.times, walk.chain.level)
        on_the_way = self._on_the_way(walk, stops)
        planned = cache(lambda i: self._planned(walk, stops, on_the_way, i))
        i = len(walk.chain)
        while i > 0:  # those that a walk takes which was not put back
            i = planned(i).end

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            stages, quantity, end = planned(state.step)
            x = y = state.image
            shape, seen, values = tuple(x.shape[1:]), [], []
            for number, stage in enumerate(stages):
                seen.append(walk.predict(y, stage.at.time).x0)
                values.append(quantity.of(y, seen[-1], stage.at))
                y = stage.image * x
                for factor, value in zip(stage.past, values, strict=True):
                    y = y + factor * value if factor else y
                if stage.noise:
                    last = number == len(stages) - 1
                    drawn = noise.normal("step" if last else "on the way", shape, step=state.step)
                    y = y + stage.noise * drawn.to(y)
            return SamplerState(y, stops[end].time, end, x0=seen[0])

        return step

    def _leap(self, stops: Sequence[Place], i: int) -> Leap:
        return Leap(1, 1) if i == 1 or is_bare(stops[i], stops[i - 1]) else self.orders.leap(i)

    def _on_the_way(self, walk: Walk, stops: Sequence[Place]) -> dict[int, list[Place]]:
        """Step -> the places on its way that are none of the grid's: all looked up at once."""
        wanted: dict[int, list[float]] = {}
        for i in range(1, len(stops)):
            leap = self._leap(stops, i)
            if leap.steps == 1 < leap.order:
                begin = stops[i].level
                width = math.log(self.noise.reach(begin, stops[i - 1].level) / begin)
                wanted[i] = [begin * math.exp(n / leap.order * width) for n in range(1, leap.order)]
        if not wanted:
            return {}
        times = time_of(walk.schedule, torch.tensor([*chain.from_iterable(wanted.values())], dtype=torch.float64))
        found = iter(places(times, walk.schedule(times)))
        return {i: list(islice(found, len(levels))) for i, levels in wanted.items()}

    def _planned(self, walk: Walk, stops: Sequence[Place], on_the_way: Mapping[int, list[Place]], i: int) -> Planned:
        begin, leap = stops[i], self._leap(stops, i)
        end = stops[i - leap.steps]
        if leap.order > self.noise.highest_order:
            raise ValueError(
                f"{type(self.noise).__name__} draws noise in steps of order up to {self.noise.highest_order}, not {leap.order}: set "
                f"sampler.orders.order to at most {self.noise.highest_order}"
            )
        if leap.order == 1:
            return Planned((self._straight(walk, begin, end),), CLEAN, i - 1)
        reach = self.noise.reach(begin.level, end.level)
        nodes = on_the_way[i] if leap.steps == 1 else list(stops[i - leap.order + 1 : i])[::-1]
        width = math.log(begin.level / reach)
        ratios = tuple(math.log(begin.level / node.level) / width for node in nodes)
        stages = []
        for number, place in enumerate([*nodes, end]):
            last = number == len(nodes)
            target = (self.noise.end if last else self.noise.between)(begin.level, place.level)
            arrived = Place(place.time, place.alpha, place.alpha * target.down)
            image, front, z, _ = self.quantity.frame(Span(walk.schedule, arrived, (begin,)), 0.0)
            factors = at_end(z, ratios) if last else at_node(z, ratios[:number], ratios[number])
            at = begin if number == 0 else nodes[number - 1]
            stages.append(Stage(at, image, tuple(-front * one for one in factors), place.alpha * target.up))
        return Planned(tuple(stages), self.quantity, i - leap.steps)

    def _straight(self, walk: Walk, begin: Place, end: Place) -> Stage:
        """The step of first order, which is DDIM's in eps and in x_0; it may begin without signal, and end without noise."""
        target = self.noise.end(begin.level, end.level)
        down = Place(end.time, end.alpha, end.alpha * target.down if end.sigma else 0.0)
        image, past, _ = CLEAN.straight(Span(walk.schedule, down, (begin,)))
        return Stage(begin, image, past, end.alpha * target.up)
