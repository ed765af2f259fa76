"""Contenders take turns, so that a machine that becomes slower becomes slower for all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def take_turns(contenders: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Contender -> what it returned in every round.

    Args:
        contenders: name -> does its work once and returns the value that counts: seconds, or work per second.
        rounds: That count.
        warm_up: Rounds that do not.

    The order turns by one from round to round: nobody always follows the same neighbour, whose memory and caches it would inherit.
    """
    if rounds < 1:
        raise ValueError(f"rounds={rounds}: at least one round has to count")
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.freeze()  # the modules' own objects need not be gone through before every turn: that takes a quarter of a second
    try:
        for number in range(-warm_up, rounds):
            turn = number % len(names)
            for name in [*names[turn:], *names[:turn]]:
                gc.collect()
                value = contenders[name]()
                if number >= 0:
                    found[name].append(value)
    finally:
        gc.unfreeze()
    return found


def rate(work: Callable[[], object], units: float, times: int = 1) -> Callable[[], float]:
    """A contender that does `work` `times` times in a turn, worth `units` each; its value is units per second of the median time."""
    seconds = clocked(work, times)
    return lambda: units / seconds()


def clocked(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """A contender that does `work` `times` times in a turn; its value is the median of the seconds that one took."""

    def turn() -> float:
        return statistics.median(_seconds(work) for _ in range(times))

    return turn


def paired_ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """values / others, round by round."""
    return [mine / theirs for mine, theirs in zip(values, others, strict=True)]


def _seconds(work: Callable[[], object]) -> float:
    _wait()
    began = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    """For what a GPU still has to do."""
    import torch  # here, so that reading records does not wait for it

    if torch.cuda.is_available():
        torch.cuda.synchronize()
