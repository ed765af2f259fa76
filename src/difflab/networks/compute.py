"""How a network is computed: kernel by kernel, or compiled. What it computes stays the same but for rounding."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from difflab.networks.layers.residual_block import Chain
from difflab.networks.layers.trunk import LaidOut
from difflab.networks.network import Network

_MOST_VARIANTS = 256
"""Of one compiled function: blocks of one class share theirs, and each shape, precision and mode of training is a variant of it. torch
stops at 8 and goes on kernel by kernel without a word."""


class Compute(ABC):
    """Changes a network in place so that it is computed in a certain way.

    Names of weights, their values and the random numbers drawn stay as they are.

    Attributes:
        changes_bits: Whether results differ in their last bits from those that torch computes kernel by kernel.
    """

    changes_bits: bool = True

    @abstractmethod
    def prepare(self, network: Network, device: torch.device) -> None:
        """Prepares a network once, before it is used, wrapped or cut into shares for processes.

        Args:
            network: The network; it need not be on the device yet.
            device: Where it will be computed.
        """


class KernelByKernel(Compute):
    """As torch runs it: nothing to wait for at the start, and as fast as anything else on a CPU."""

    changes_bits = False

    def prepare(self, network: Network, device: torch.device) -> None:
        pass


class Compiled(Compute):
    """Base of the two that torch.compile takes part in.

    Compiled code is kept on disk, so that a run that goes on, or the next seed, does not compile again: in TORCHINDUCTOR_CACHE_DIR, and
    else in `difflab/compiled` of the user's cache folder, which the nodes of a cluster share where they share the home folder.

    Args:
        backend: Of torch.compile: inductor makes fused kernels (Triton's on a GPU; C++ on a CPU, which needs a compiler).
        mode: Of torch.compile: default, reduce-overhead (CUDA graphs), max-autotune.
        channels_last: Whether images have a pixel's channels side by side, which tensor cores ask for.
    """

    def __init__(self, backend: str = "inductor", mode: str = "default", channels_last: bool = True):
        known = torch.compiler.list_backends(exclude_tags=())
        if backend not in known:
            raise ValueError(f"compute.backend={backend}: torch knows {', '.join(known)}")
        modes = list(torch._inductor.list_mode_options())
        if mode not in modes:
            raise ValueError(f"compute.mode={mode}: choose one of {', '.join(modes)}")
        self.backend, self.mode = backend, mode
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    @abstractmethod
    def parts(self, network: Network) -> Iterator[nn.Module]:
        """What is compiled, each by itself."""

    def prepare(self, network: Network, device: torch.device) -> None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache()))
        torch._dynamo.config.recompile_limit = _MOST_VARIANTS
        for layer in network.modules():
            if isinstance(layer, LaidOut):
                layer.memory_format = self.memory_format
        options: dict[str, Any] = {}
        if self.backend == "inductor":
            # dropout draws from torch's generator as ever: a run may be compiled today and not tomorrow
            options = {**torch._inductor.list_mode_options(self.mode), "fallback_random": True}
        for part in self.parts(network):
            # sizes are constants in the code, hence faster: blocks of all levels share a function and would else make every size a variable
            part.compile(backend=self.backend, dynamic=False, options=options or None)


class CompiledBlocks(Compiled):
    """Each residual block with its attention is compiled by itself.

    Blocks of equal shapes share their code, so a deep network compiles as fast as a shallow one, and strategies can still cut it between
    blocks.
    """

    def parts(self, network: Network) -> Iterator[nn.Module]:
        return (layer for layer in network.modules() if isinstance(layer, Chain))


class CompiledNetwork(Compiled):
    """The network as one: the last bit of speed, for minutes of compiling."""

    def parts(self, network: Network) -> Iterator[nn.Module]:
        yield network


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "difflab" / "compiled"
