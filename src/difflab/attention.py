"""One seat from which the attention maps of any network are read or replaced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class AttentionSite(NamedTuple):
    """Where in a network, and when, attention is computed.

    Attributes:
        place: Of the layer: 0 in the middle of the network, -1, -2 ... before it, 1, 2 ... after it.
        is_cross: Whether the keys are tokens of the condition, not places of the image.
        size: Height and width of the features whose places are the queries.
        t: [B] float64, the time of the call; None where the network is called outside of a denoiser.
    """

    place: int
    is_cross: bool
    size: tuple[int, ...]
    t: Float64[Tensor, " b"] | None


class AttentionControl(ABC):
    """Reads or replaces the attention maps of a network, call by call.

    It rides on the condition, so that nothing of it stays in the network.

    Where there is no control, or none that `concerns` a layer, its maps are never computed: attention is then one fused kernel.

    Attributes:
        under_null: Whether it is asked in the prediction under the null condition too, where there is guidance away from one.
    """

    under_null: ClassVar[bool] = True

    @abstractmethod
    def concerns(self, site: AttentionSite) -> bool:
        """Whether it is to be asked at this layer."""

    @abstractmethod
    def __call__(
        self, site: AttentionSite, probabilities: Float[Tensor, "b heads queries keys"]
    ) -> Float[Tensor, "b heads queries keys"]:
        """The maps with which values are weighted, each row a distribution over keys.

        Args:
            site: The layer, and when it is computed.
            probabilities: The network's own maps, in float32 at least.
        """


@dataclass(frozen=True)
class Controls:
    """Attention controls of a batch: those of all its examples, in the order in which they are asked, or those of equal shares of it."""

    own: tuple[AttentionControl, ...] = ()
    shares: tuple[Controls, ...] = ()

    def concern(self, site: AttentionSite) -> bool:
        """Whether any of them is to be asked at this layer."""
        return any(c.concerns(site) for c in self.own) or any(share.concern(site) for share in self.shares)

    def of_null(self) -> Controls:
        """Those of the null condition."""
        return Controls(
            tuple(control for control in self.own if control.under_null),
            tuple(share.of_null() for share in self.shares),
        )

    def adding(self, control: AttentionControl) -> Controls:
        """One more, which is asked after these."""
        if self.shares:
            return Controls((), tuple(share.adding(control) for share in self.shares))
        return Controls((*self.own, control))

    def __bool__(self) -> bool:
        return bool(self.own) or any(self.shares)


NO_CONTROLS = Controls()


class IdentityAttention(AttentionControl):
    """Each place of the image attends to itself alone (perturbed-attention guidance, Ahn et al. 2024, arXiv 2403.17377).

    Args:
        places: Of the layers whose self-attention is replaced.
    """

    def __init__(self, places: Collection[int]):
        self.places = frozenset(places)

    def concerns(self, site: AttentionSite) -> bool:
        return site.place in self.places and not site.is_cross

    def __call__(self, site: AttentionSite, probabilities: Tensor) -> Tensor:
        return torch.eye(probabilities.shape[-1], dtype=probabilities.dtype, device=probabilities.device).expand_as(
            probabilities
        )


class AttentionMaps(AttentionControl):
    """Keeps the maps that a network computes, mean over its heads, and changes nothing. Those of the null condition are not kept.

    Args:
        places: Of the layers; None for all.
        is_cross: Whether maps of cross-attention are kept, or those of self-attention.

    Attributes:
        maps: Place -> [calls, B, queries, keys] as a list over calls, on the CPU.
        sizes: Place -> height and width of the queries.
    """

    under_null = False

    def __init__(self, places: Collection[int] | None = None, is_cross: bool = False):
        self.places = None if places is None else frozenset(places)
        self.is_cross = is_cross
        self.maps: dict[int, list[Tensor]] = {}
        self.sizes: dict[int, tuple[int, ...]] = {}

    def concerns(self, site: AttentionSite) -> bool:
        return site.is_cross == self.is_cross and (self.places is None or site.place in self.places)

    def __call__(self, site: AttentionSite, probabilities: Tensor) -> Tensor:
        self.maps.setdefault(site.place, []).append(probabilities.detach().mean(1).float().cpu())
        self.sizes[site.place] = site.size
        return probabilities

    def of_keys(self, place: int) -> Float[Tensor, "b keys *size"]:
        """Where in the image each key is looked at: the mean map over all calls, [B, keys, H, W]."""
        return torch.stack(self.maps[place]).mean(0).transpose(1, 2).unflatten(2, self.sizes[place])
