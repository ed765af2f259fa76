"""What is inside a trained model: `difflab explain checkpoint=RUN`.

It draws from x_T and back again, and writes one page of what it finds with its pictures. Each thing that is shown has a file of its own in
this package, and stands here once, in the order in which it is on the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from difflab.config.groups import ConfigError
from difflab.sampling import SamplingOptions

__all__ = ["PAGE", "explain_model"]

PAGE = "explain.html"
"""Name of the page in the folder."""


def check_checkpoint(options: SamplingOptions) -> str:
    """The one model that is named."""
    if not isinstance(options.checkpoint, str):
        raise ConfigError("explain looks into one model: give checkpoint=RUN")
    return options.checkpoint


def explain_model(options: SamplingOptions, out: Path) -> Iterator[Path]:
    """Writes what is inside a model.

    Args:
        options: The model, and how it draws.
        out: Folder of the page and its pictures, which is made where it is missing.

    Returns:
        The files that were written, the page first.

    Raises:
        ConfigError: The model has nothing of what is asked for; one line says why, before any work.
    """
    raise ConfigError(
        f"checkpoint={check_checkpoint(options)}: nothing of a model can be shown yet: explain its schedule by "
        "the words of its training, as experiment=NAME"
    )
