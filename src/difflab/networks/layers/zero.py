"""Zero-initialised layers: a residual branch that starts by adding nothing (arXiv 2105.05233, following DDPM's code)."""

from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def zeroed(module: M) -> M:
    """The module with all parameters set to zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
