"""What a model is told besides (x_t, t): a mapping of parts, each of which knows how it is dropped, joined and moved.

`difflab.types` hands it on with the rest of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from difflab.attention import NO_CONTROLS, AttentionControl, Controls
from difflab.condition_parts import ConditionPart, DroppablePart, Embedding


class Condition(Mapping[str, ConditionPart]):
    """What a model is told besides (x_t, t) of each of B examples: name -> part. A part is absent for a model that does not use it.

    Args:
        controls: Of the network's attention.
        t: [B] float64, the time of the call, for the controls.
        parts: By name; None is an absent one.
    """

    def __init__(
        self,
        controls: Controls = NO_CONTROLS,
        t: Float64[Tensor, " b"] | None = None,
        **parts: ConditionPart | None,
    ):
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self.controls = controls
        self.t = t
        self._made_of: tuple[Condition, ...] = ()
        self._kept: _Kept | None = None

    def __getitem__(self, name: str) -> ConditionPart:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] - conditions are told apart, not compared

    def __repr__(self) -> str:
        return f"Condition({', '.join(f'{name}={part!r}' for name, part in self.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._parts, self.controls, self.t)

    @property
    def is_droppable(self) -> bool:
        """Whether there is anything that can be dropped, and so a null condition to guide away from."""
        return bool(self.droppable)

    @property
    def droppable(self) -> Mapping[str, DroppablePart]:
        """The parts that can be dropped, by name."""
        return {name: part for name, part in self.items() if isinstance(part, DroppablePart)}

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the parts that somebody has to give when images are drawn."""
        return tuple(name for name, part in self.items() if part.is_given)

    def drop(self, mask: Bool[Tensor, " b"], parts: Collection[str] | None = None) -> Condition:
        """The condition with parts dropped for some of the examples.

        Args:
            mask: [B], for which.
            parts: Names of those that are dropped; None for all that can be.
        """
        return self.having(
            **{name: part.drop(mask) for name, part in self.droppable.items() if parts is None or name in parts}
        )

    def null(
        self, parts: Collection[str] | None = None, instead: Mapping[str, Any] = MappingProxyType({})
    ) -> Condition:
        """The condition away from which guidance leads, for all examples.

        Args:
            parts: Names of those that are dropped; None for all that can be.
            instead: Name -> value of a part that is not dropped but replaced by this value: another class, a negative prompt.

        Raises:
            ValueError: There is no part of a name, or it cannot have the value.
        """
        if absent := [name for name in (*(parts or ()), *instead) if name not in self]:
            raise ValueError(
                f"there is no {absent[0]!r} to be dropped: these images are drawn for {', '.join(self) or 'nothing'}"
            )
        if fixed := [name for name in (*(parts or ()), *instead) if name not in self.droppable]:
            raise ValueError(f"{fixed[0]} says what the task is, and there is nothing to be guided away from")
        dropped = tuple(name for name in self.droppable if name not in instead and (parts is None or name in parts))
        if self._made_of:
            return Condition.cat([cond.null(dropped, instead) for cond in self._made_of])
        if self._kept is None:
            return self._null(dropped, instead)
        key = dropped, repr(dict(instead))
        if key not in self._kept.null:
            self._kept.null[key] = self._null(dropped, instead).kept()
        return self._kept.null[key]._shared(self.controls.of_null(), self.t)

    def _null(self, dropped: tuple[str, ...], instead: Mapping[str, Any]) -> Condition:
        droppable = self.droppable
        given = {name: droppable[name].instead(value) for name, value in instead.items()}
        null = self.having(**{name: droppable[name].null() for name in dropped}, **given)
        return null._shared(self.controls.of_null(), self.t)

    def having(self, **parts: ConditionPart | None) -> Condition:
        """With these parts beside, or in place of, its own; None takes one away."""
        return Condition(self.controls, self.t, **{**self._parts, **parts})

    def beside(self, **parts: ConditionPart) -> Condition:
        """With parts that no embedder reads: what embedders have made of the others stays known."""
        other = self.having(**parts)
        other._made_of, other._kept = self._made_of, self._kept
        return other

    def select(self, index: Any) -> Condition:
        """The condition of the selected examples."""
        if self.controls:
            raise ValueError(
                "a condition with attention controls is that of a whole batch, and none of its examples can be taken out"
            )
        return self._map(lambda value: value[index])

    def warped(self, function: Callable[[Tensor], Tensor]) -> Condition:
        """With a function applied to all that lies over the pixels of the image: that which is done to the image itself."""
        return self.having(**{name: part.warped(function) for name, part in self.items() if part.over_pixels})

    def to(self, device: Any, non_blocking: bool = False) -> Condition:
        return self._map(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Condition:
        return self._map(lambda value: value.pin_memory())

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Examples of several conditions after each other, as `torch.cat` does.

        They have the same parts, and where there are attention controls the same number of examples.

        Raises:
            ValueError: Some have a part that others lack.
        """
        first, *others = conditions
        parts: dict[str, ConditionPart] = {}
        for name in dict.fromkeys(name for cond in conditions for name in cond):
            if any(name not in cond for cond in conditions):
                raise ValueError(f"conditions with and without {name!r} cannot be joined")
            if len(kinds := {type(cond[name]).__name__ for cond in conditions}) > 1:
                raise ValueError(f"{name!r} cannot be joined: it is of different kinds, {', '.join(sorted(kinds))}")
            parts[name] = first[name].join([cond[name] for cond in others])
        times = [cond.t for cond in conditions if cond.t is not None]
        shares = tuple(cond.controls for cond in conditions)
        joined = Condition(
            Controls(shares=shares) if any(shares) else NO_CONTROLS,
            torch.cat(times) if len(times) == len(conditions) else None,
            **parts,
        )
        if all(cond._kept is not None for cond in conditions):
            joined._made_of = tuple(conditions)
            joined._kept = _Kept()
        return joined

    def controlled(self, control: AttentionControl) -> Condition:
        """With one more control of the network's attention."""
        return self._shared(self.controls.adding(control), self.t)

    def at(self, t: Float64[Tensor, " b"]) -> Condition:
        """Told at time t."""
        return self._shared(self.controls, t)

    def kept(self) -> Condition:
        """The same, and what embedders make of it is kept: of this condition, of its null form, and of conditions that are joined of them.

        It is for a trajectory, at every step of which a network would embed the same anew; over it no weights change, and nobody asks
        for gradients of the embedders.
        """
        if self._kept is not None:
            return self
        other = self._shared(self.controls, self.t)
        other._kept = _Kept()
        return other

    def embedded(self, embedder: nn.Module) -> Embedding:
        """What an embedder (cond -> Embedding, or a vector [B, E]) makes of this condition."""
        if self._kept is None or torch.compiler.is_compiling():
            return _as_embedding(embedder(self))
        if embedder not in self._kept.embeddings:
            with torch.no_grad():
                self._kept.embeddings[embedder] = self._embedded_whole_or_joined(embedder)
        return self._kept.embeddings[embedder]

    def _embedded_whole_or_joined(self, embedder: nn.Module) -> Embedding:
        if self._made_of and self._parts:
            joined = Embedding.cat([cond.embedded(embedder) for cond in self._made_of])
            if joined.count == len(next(iter(self.values()))):  # else one of them says the same of all examples, once
                return joined
        return _as_embedding(embedder(self))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Condition:
        t = None if self.t is None else function(self.t)
        return Condition(self.controls, t, **{name: part.map(function) for name, part in self.items()})

    def _shared(self, controls: Controls, t: Tensor | None) -> Condition:
        """The same parts, hence the same embeddings."""
        other = Condition(controls, t, **self._parts)
        other._made_of, other._kept = self._made_of, self._kept
        return other


class _Kept:
    """What a condition has been asked before: null conditions by what was dropped and given, embeddings by embedder."""

    def __init__(self) -> None:
        self.null: dict[tuple[object, ...], Condition] = {}
        self.embeddings: dict[nn.Module, Embedding] = {}


def _as_embedding(found: Embedding | Tensor) -> Embedding:
    return Embedding(found) if isinstance(found, Tensor) else found


def _rebuilt(parts: dict[str, ConditionPart], controls: Controls, t: Tensor | None) -> Condition:
    return Condition(controls, t, **parts)
