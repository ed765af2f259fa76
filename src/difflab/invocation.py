"""How difflab is called here, so that what a message, a help text or a report tells the user to type can be typed as it stands.

In the folder of a clone that is `python train.py`, and everywhere else `difflab train`.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
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


def _is_clone() -> bool:
    return (_ROOT / "pyproject.toml").is_file() and (_ROOT / "src" / "difflab").is_dir()


def _is_here() -> bool:
    try:
        return Path.cwd() == _ROOT
    except FileNotFoundError:  # the current folder has been removed
        return False
