"""Packages that are installed apart: asked for on the command line, or by what a configuration names."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence

from difflab.runtime.invocation import installation

EXTRAS = {
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=joblib": ("hydra_plugins.hydra_joblib_launcher", "sweeps"),
    "hydra/sweeper=optuna": ("hydra_plugins.hydra_optuna_sweeper", "sweeps"),
    "hparams_search=optuna": ("hydra_plugins.hydra_optuna_sweeper", "sweeps"),
}
"""Argument -> the module that it needs, and difflab's extra that brings it."""


def lacking(arguments: Sequence[str]) -> str:
    """What the arguments ask for and this installation has not, in a line; "" for nothing."""
    for argument, (module, extra) in EXTRAS.items():
        if argument in {word.lstrip("+") for word in arguments} and not _is_there(module):
            return f"{argument} needs an extra: {installation(extra)}"
    if "hydra/launcher=slurm" in arguments and shutil.which("sbatch") is None:
        return "hydra/launcher=slurm: there is no sbatch here; submit from a login node, or use hydra/launcher=joblib"
    return ""


def missing_package(error: BaseException | None, target: str) -> str:
    """The package whose absence made an import fail, and which is not the target's own; "" where something else did."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            top = error.name.partition(".")[0]
            return top if top != target.partition(".")[0] else ""
        error = error.__cause__ or error.__context__
    return ""


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False
