"""Settings of sampling that are tried on one noise bank: the same seeds, hence the same x_T and the same noise of each step, under each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = str | int | float

AXES = {
    "track": "track {}",
    "sampler": "{}",
    "steps": "{} steps",
    "eta": "eta = {:g}",
    "scale": "w = {:g}",
}
"""What can be swept, and how a value of it is called: EMA track, sampler, its number of steps, DDIM's eta, the scale of classifier-free
guidance."""


KINDS = {"track": (str,), "sampler": (str,), "steps": (int, str), "eta": (int, float), "scale": (int, float)}
"""Of which types the values of an axis are."""


@dataclass(frozen=True)
class Setting:
    """values   axis -> value, in the order of `AXES`; an axis that is absent is as the run has it"""

    values: Mapping[str, Value]

    @property
    def label(self) -> str:
        return ", ".join(AXES[axis].format(value) for axis, value in self.values.items()) or "as trained"

    def without(self, axis: str) -> Setting:
        return Setting({name: value for name, value in self.values.items() if name != axis})


def settings(axes: Mapping[str, Sequence[Value]]) -> list[Setting]:
    """All combinations, the last axis fastest. Axes without values are left out."""
    for axis, values in axes.items():
        if axis not in AXES:
            raise ValueError(f"sweep.{axis}: there are {', '.join(AXES)} to sweep over")
        if not isinstance(values, list | tuple) or len(set(values)) != len(values):
            raise ValueError(f"sweep.{axis}={values}: expected a list of different values, as [1,2]")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, KINDS[axis]):
                words = " or ".join(kind.__name__ for kind in KINDS[axis])
                raise ValueError(f"sweep.{axis}: {value!r} is not of type {words}")
    given = [axis for axis in AXES if axes.get(axis)]
    return [
        Setting(dict(zip(given, chosen, strict=True))) for chosen in itertools.product(*(axes[axis] for axis in given))
    ]
