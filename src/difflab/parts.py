"""What the parts of an experiment are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import TypeVar

from torch import Tensor, nn

from difflab.schedules import NoiseSchedule

T = TypeVar("T")


def held(part: object, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yields all objects of a kind that a part holds, or that the parts which it holds do, each with its path. Modules of other kinds are
    not searched: their weights are their own.
    """
    yield from _held(part, kind, "", set())


def check_shares_schedule(where: str, part: object, schedule: NoiseSchedule) -> None:
    """Checks that a part of a model whose schedule learns does not hold another one that learns.

    Raises:
        ValueError: It holds a copy, whose weights would stay as they began.
    """
    for path, other in held(part, NoiseSchedule):
        if other is not schedule and not other.is_fixed:
            raise ValueError(
                f"{where}{path and '.'}{path} is a copy of a schedule that learns, and only the model's own is trained: build the part "
                "with the model's schedule itself, or choose one that does without"
            )


def _held(part: object, kind: type[T], path: str, seen: set[int]) -> Iterator[tuple[str, T]]:
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, kind):
        yield path, part
    elif isinstance(part, Mapping):
        yield from _within(part.items(), kind, path, seen)
    elif isinstance(part, list | tuple):
        yield from _within(enumerate(part), kind, path, seen)
    elif not isinstance(part, nn.Module | Tensor | type | ModuleType):
        yield from _within(getattr(part, "__dict__", {}).items(), kind, path, seen)


def _within(
    items: Iterable[tuple[object, object]], kind: type[T], path: str, seen: set[int]
) -> Iterator[tuple[str, T]]:
    for name, value in items:
        yield from _held(value, kind, f"{path}.{name}" if path else str(name), seen)
