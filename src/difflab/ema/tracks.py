"""Several averages of one set of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, _foreach_lerp_, nn  # pyright: ignore[reportPrivateImportUsage]

from difflab.buffers import averaged_buffers, copied_buffers, recompute, swapped
from difflab.ema.averaging import Averaging
from difflab.sharding import Sharding, Unsharded

ONLINE = "online"
"""Name of the weights themselves, as they come from the optimizer."""


class Tracks:
    """Named averages of a module's weights, in float32 whatever the weights' type (a bfloat16 average with decay 0.9999 never moves).

    Its buffers belong to the weights: see `difflab.buffers` for which are averaged.

    Args:
        averagings: Name -> how that track averages; none is an empty mapping.

    Attributes:
        sharding: How the weights are sharded over the processes.
        averaged: Names of the module's buffers that are averaged with its weights, once it is known.
        copied: Names of those of which a track has the newest values.
        shadows: This process's shards of the averages: track -> name of a weight -> its average.
    """

    def __init__(self, averagings: Mapping[str, Averaging]):
        if ONLINE in averagings:
            raise ValueError(f"an EMA cannot be called {ONLINE!r}: that is the name of the weights themselves")
        self.averagings = dict(averagings)
        self.sharding: Sharding = Unsharded()
        self.step = 0
        self._module: nn.Module | None = None
        self._loaded: dict[
            str, dict[str, Tensor]
        ] = {}  # whole averages of a checkpoint, until start() takes shards of them
        self.shadows: dict[str, dict[str, Tensor]] = {}
        self.averaged: list[str] = []
        self.copied: list[str] = []
        self._in_turn: list[Tensor] = []  # the shadows of the first weight, then those of the second ...

    @property
    def names(self) -> list[str]:
        """All tracks that can be evaluated, the online weights last."""
        return [*self.averagings, ONLINE]

    def start(self, module: nn.Module) -> None:
        """Begins every track at the module's weights; goes on with tracks that are there already, on the module's device."""
        self._module = module
        now, moving, copied = self.sharding.local_shards(module), averaged_buffers(module), copied_buffers(module)
        for name in self.averagings:
            if name in self._loaded:
                whole = self._loaded.pop(name)
                buffers = {key: whole[key] for key in (*moving, *copied) if key in whole}
                self.shadows[name] = self.sharding.shard(module, whole) | buffers
            kept = self.shadows.get(name)
            self.shadows[name] = {
                key: (w.clone().float() if kept is None else kept[key].to(w.device)) for key, w in now.items()
            }
            for key, buffer in {**moving, **copied}.items():  # which checkpoints of earlier versions do not have
                begun = buffer.detach().clone() if kept is None or key not in kept else kept[key].to(buffer.device)
                self.shadows[name][key] = begun.to(_wide(begun.dtype)) if key in moving else begun
        self._in_turn = [self.shadows[name][key] for key in (*now, *moving) for name in self.averagings]
        self.averaged, self.copied = list(moving), list(copied)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Takes in the weights after one more optimizer step: all tracks in one pass, for a weight that was just read is in the cache."""
        self.step += 1
        shares = [1 - averaging.beta(self.step) for averaging in self.averagings.values()]
        if shares:
            weights = [w.float() for w in self.sharding.local_shards(module).values()]
            weights += [buffer.to(_wide(buffer.dtype)) for buffer in map(module.get_buffer, self.averaged)]
            each = [w for w in weights for _ in shares]
            _foreach_lerp_(self._in_turn, each, shares * len(weights))
        for key in self.copied:
            for shadow in self.shadows.values():
                shadow[key].copy_(module.get_buffer(key))

    @contextmanager
    def applied_to(self, module: nn.Module, track: str) -> Iterator[None]:
        """Within the context the module has the weights of the track; its own come back however the context is left.

        Raises:
            KeyError: There is no such track.
        """
        if track not in self.names:
            raise KeyError(f"there is no EMA {track!r}; there are {', '.join(self.names)}")
        if track == ONLINE:
            yield
            return
        shadow = self.shadows[track]
        buffers = {key: module.get_buffer(key) for key in (*self.averaged, *self.copied)}
        try:
            with self.sharding.lent(module, shadow), swapped(buffers, shadow):
                recompute(module)
                yield
        finally:
            recompute(module)

    def whole(self, track: str) -> dict[str, Tensor]:
        """An average as it is on one process; all processes ask together."""
        if track in self._loaded:
            return self._loaded[track]
        assert self._module is not None, "nothing is averaged before start()"
        shadow = self.shadows[track]
        buffers = {key: shadow[key] for key in (*self.averaged, *self.copied)}
        return {**self.sharding.gather(self._module, shadow), **buffers}

    def state_dict(self) -> dict[str, object]:
        return {"step": self.step, "shadows": {name: self.whole(name) for name in (self._loaded or self.shadows)}}

    def load_state_dict(self, state: dict[str, object]) -> None:
        shadows: dict[str, dict[str, Tensor]] = state["shadows"]  # type: ignore[assignment]
        missing = set(self.averagings) - set(shadows)
        if missing:
            raise ValueError(
                f"the checkpoint has no EMA {', '.join(sorted(missing))}, only {', '.join(shadows) or 'none'}: an average "
                "cannot begin in the middle of training"
            )
        self.step = int(state["step"])  # type: ignore[call-overload]
        self._loaded = {name: {key: value.clone() for key, value in shadows[name].items()} for name in self.averagings}


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type in which a buffer is averaged: float32, or its own if that is wider."""
    return torch.promote_types(dtype, torch.float32)
