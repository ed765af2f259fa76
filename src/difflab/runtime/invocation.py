"""How difflab is called here, so that what a message, a help text or a report tells the user to type can be typed as it stands.

In the folder of a clone that is `python train.py`, and everywhere else `difflab train`.
"""

from __future__ import annotations

import re
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
