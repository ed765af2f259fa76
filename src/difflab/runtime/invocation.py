"""How difflab was called and what surrounds it: commands as they can be typed here, packages installed apart, a place for files.

What a message, a help text or a report tells the user to type can be typed as it stands: in the folder of a clone
that is `python train.py`, and everywhere else `difflab train`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
"""Of the clone, where difflab is used from one."""


def program(name: str) -> str:
    """The name of one of difflab's programs.

    Args:
        name: Of the command, such as train.

    Returns:
        train.py in the folder of a clone, difflab train elsewhere and for a command that has no script.
    """
    return f"{name}.py" if _is_clone() and _is_here() and (_ROOT / f"{name}.py").is_file() else f"difflab {name}"


def command(words: str) -> str:
    """A command as it can be typed.

    Args:
        words: The command and its arguments, such as train +experiment=list.

    Returns:
        python train.py +experiment=list in the folder of a clone, difflab train +experiment=list elsewhere.
    """
    name, space, rest = words.partition(" ")
    called = program(name)
    return f"{'python ' if called.endswith('.py') else ''}{called}{space}{rest}"


def installation(extra: str) -> str:
    """The command that installs one of difflab's extras, from where difflab itself was installed.

    Args:
        extra: Of `project.optional-dependencies` in pyproject.toml, such as hub.
    """
    if not _is_clone():
        return f"pip install 'difflab[{extra}]'"
    return f"pip install -e '{'.' if _is_here() else _ROOT}[{extra}]'"


def installation_of(package: str) -> str:
    """The command that installs a package that is missing, by the smallest of difflab's extras that has it.

    Args:
        package: As it is imported, which is how it is called for all that an extra brings alone.
    """
    extras = defaultdict[str, list[str]](list)
    for line in _requirements():
        name, extra = re.match(r"[\w.-]+", line), re.search(r"""extra == ['"]([\w-]+)""", line)
        if name and extra:
            extras[extra[1]].append(name[0].replace("-", "_"))
    having = [extra for extra, names in extras.items() if package in names]
    return installation(min(having, key=lambda extra: len(extras[extra]))) if having else f"pip install {package}"


def _requirements() -> Sequence[str]:
    try:
        return requires("difflab") or ()
    except PackageNotFoundError:  # imported from a folder, and not installed
        return ()


def _is_clone() -> bool:
    return (_ROOT / "pyproject.toml").is_file() and (_ROOT / "src" / "difflab").is_dir()


def _is_here() -> bool:
    try:
        return Path.cwd() == _ROOT
    except FileNotFoundError:  # the current folder has been removed
        return False


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


_KEPT_IN = {
    "XDG_CACHE_HOME": ".cache",
    "WANDB_CACHE_DIR": ".cache/wandb",
    "WANDB_DATA_DIR": ".local/share/wandb",
    "MPLCONFIGDIR": ".config/matplotlib",
}
"""Variable -> where a library writes below a home, all of it to be had again."""


def find_home() -> None:
    """Gives this process, and those that it starts, a temporary home in place of one that is missing.

    One that can only be read stays: it may hold a login or weights; what libraries write there is sent elsewhere.
    """
    home = _home()
    if home is None or not home.is_dir():
        os.environ["HOME"] = str(temporary_home())
    elif not os.access(home, os.W_OK | os.X_OK):
        for variable, folder in _KEPT_IN.items():
            os.environ.setdefault(variable, str(temporary_home() / folder))


def temporary_home() -> Path:
    """A folder that nobody else can have filled, the same one for all processes of a user wherever that is possible."""
    folder = Path(tempfile.gettempdir()) / f"difflab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid == os.getuid() and found.st_mode == 0o40700:
        return folder
    return Path(tempfile.mkdtemp(prefix="difflab-"))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # neither $HOME nor an entry among the users
        return None


def check_surroundings() -> str | None:
    """Finds the process a home. Returns what is missing, and what to do about it; None if nothing is."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder is gone: change to one that exists (cd), and the same command again"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return "no folder for temporary files can be written: let $TMPDIR name one that can"
    find_home()
    return None
