"""Which examples' conditions are dropped in training, so that guidance can lead away from what is not said."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from difflab.noise import Noise
from difflab.types import Condition

ALL = "all"
"""Name under which the probability stands that all parts are dropped together."""


class ConditionDropout:
    """(cond, noise) -> Condition: parts of it dropped for some of the examples.

    One number is the probability with which an example's whole condition is dropped (Ho and Salimans 2022, arXiv 2207.12598). With a number
    for each part, each is dropped by itself, independently of the others; `all` beside them drops all together as well, since that is rare
    otherwise (InstructPix2Pix, Brooks et al. 2023, arXiv 2211.09800, section 3.2.1, has 0.05 for text, image and both).

    What is dropped of an example is a function of its number and of the part's name: parts, processes and restarts change nothing in it.

    Args:
        chosen: The probability for the whole condition; or name of a part, or `all` -> probability.

    Raises:
        ValueError: One of them is no probability.
    """

    def __init__(self, chosen: float | Mapping[str, float] = 0.0):
        given = dict(chosen) if isinstance(chosen, Mapping) else {ALL: chosen}
        for name, share in given.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                where = f"condition_dropout.{name}" if isinstance(chosen, Mapping) else "condition_dropout"
                raise ValueError(f"{where} = {share} is not a probability")
        self.of_all = given.pop(ALL, 0.0)
        self.of_part = given

    def __bool__(self) -> bool:
        """Whether anything is ever dropped."""
        return any((self.of_all, *self.of_part.values()))

    def __str__(self) -> str:
        if not self.of_part:
            return f"{self.of_all:g}"
        shares = self.of_part | ({ALL: self.of_all} if self.of_all else {})
        return "{" + ", ".join(f"{name}: {share:g}" for name, share in shares.items()) + "}"

    def __call__(self, cond: Condition, noise: Noise) -> Condition:
        if self.of_part:
            self.check(cond)
        for name, share in self.of_part.items():
            if share:
                cond = cond.drop(noise.uniform(f"condition dropout: {name}") < share, {name})
        return cond.drop(noise.uniform("condition dropout") < self.of_all) if self.of_all else cond

    def check(self, cond: Condition) -> None:
        """Checks that there is everything to be dropped of conditions like this one.

        Raises:
            ValueError: There is no part of a name, or it cannot be dropped.
        """
        for name in self.of_part:
            if name not in cond:
                raise ValueError(
                    f"condition_dropout.{name}: the model is told {', '.join(cond) or 'nothing'}, and no {name}"
                )
            if name not in cond.droppable:
                raise ValueError(
                    f"condition_dropout.{name}: {name} says what the task is and cannot be dropped; what can is "
                    f"{', '.join(cond.droppable) or 'nothing'}"
                )

    def has_taught(self, dropped: Collection[str], droppable: Collection[str]) -> bool:
        """Whether a model trained so has seen conditions without exactly these parts.

        Args:
            dropped: Names of the parts that are left out.
            droppable: Names of all that can be.
        """
        if self.of_all and set(dropped) == set(droppable):
            return True
        others = set(droppable) - set(dropped)
        return all(self.of_part.get(name, 0) for name in dropped) and all(self.of_part.get(n, 0) < 1 for n in others)
