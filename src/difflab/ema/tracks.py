"""Several averages of one set of weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, _foreach_copy_, _foreach_lerp_, nn  # pyright: ignore[reportPrivateImportUsage]

from difflab.ema.averaging import Averaging

ONLINE = "online"
"""Name of the weights themselves, as they come from the optimizer."""


class Tracks:
    """Named averages of a module's parameters, in float32 whatever the parameters' type (a bfloat16 average with decay 0.9999 never moves).

    averagings   name -> how that track averages; none is an empty mapping
    """

    def __init__(self, averagings: Mapping[str, Averaging]):
        if ONLINE in averagings:
            raise ValueError(f"an EMA track cannot be called {ONLINE!r}: that is the name of the weights themselves")
        self.averagings = dict(averagings)
        self.step = 0
        self.shadows: dict[str, dict[str, Tensor]] = {}

    @property
    def names(self) -> list[str]:
        """All tracks that can be evaluated, the online weights last."""
        return [*self.averagings, ONLINE]

    def start(self, module: nn.Module) -> None:
        """Begins every track at the module's weights; goes on with tracks that are there already, on the module's device."""
        for name in self.averagings:
            kept = self.shadows.get(name)
            self.shadows[name] = {
                key: (p.detach().clone().float() if kept is None else kept[key].to(p.device))
                for key, p in _parameters(module)
            }

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Takes in the weights after one more optimizer step."""
        self.step += 1
        weights = [p.detach().float() for _, p in _parameters(module)]
        for name, averaging in self.averagings.items():
            _foreach_lerp_(list(self.shadows[name].values()), weights, 1 - averaging.beta(self.step))

    @contextmanager
    def applied_to(self, module: nn.Module, track: str) -> Iterator[None]:
        """Within the context the module has the weights of the track; its own come back however the context is left."""
        if track not in self.names:
            raise KeyError(f"there is no EMA track {track!r}; there are {', '.join(self.names)}")
        if track == ONLINE:
            yield
            return
        parameters, shadow = dict(_parameters(module)), self.shadows[track]
        own = [p.detach().clone() for p in parameters.values()]
        try:
            _copy(parameters.values(), (shadow[key] for key in parameters))
            yield
        finally:
            _copy(parameters.values(), own)

    def state_dict(self) -> dict[str, object]:
        return {"step": self.step, "shadows": self.shadows}

    def load_state_dict(self, state: dict[str, object]) -> None:
        shadows: dict[str, dict[str, Tensor]] = state["shadows"]  # type: ignore[assignment]
        missing = set(self.averagings) - set(shadows)
        if missing:
            raise ValueError(
                f"the checkpoint has no EMA track {', '.join(sorted(missing))}, only {', '.join(shadows) or 'none'}: an average "
                "cannot begin in the middle of training"
            )
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.shadows = {name: {key: value.clone() for key, value in shadows[name].items()} for name in self.averagings}


def _parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)


@torch.no_grad()
def _copy(into: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    _foreach_copy_([p.detach() for p in into], list(values))
