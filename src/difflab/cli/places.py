"""Where the configuration files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import difflab

_PACKAGE = Path(difflab.__file__).parent

_added: list[Path] = []


def config_directory() -> Path:
    """conf/: inside the installed package, or at the root of the source tree."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "conf"


def config_directories() -> list[Path]:
    """conf/ and the folders that the command adds, in which a name is looked for in this order."""
    return [config_directory(), *_added]


def add_config_directories(folders: Sequence[Path]) -> None:
    """Has the command in this process look for choices in these folders, too, in place of those of a command before it."""
    _added[:] = [folder.absolute() for folder in folders]


def search_words() -> list[str]:
    """The word by which a command that this one starts, or that is composed in this process, looks in the same folders."""
    return [f"hydra.searchpath=[{','.join(_quoted(f'file://{folder}') for folder in _added)}]"] if _added else []


def is_group(key: str) -> bool:
    """Whether a key of the command line stands for a group of conf/."""
    return "/" in key or any((folder / key).is_dir() for folder in config_directories())


def config_files(group: str, pattern: str = "**/*.yaml") -> dict[str, Path]:
    """Choice -> file, of everything that can be chosen of a group; those in folders of it have their path in their name.

    Args:
        group: As it is chosen, network/norm.
        pattern: Of the files that count.
    """
    found: dict[str, Path] = {}
    for directory in config_directories():
        folder = directory / group.partition("@")[0]
        for path in folder.glob(pattern):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return dict(sorted(found.items()))


def experiments_directory() -> Path:
    """experiments/, the folder of studies, beside conf/."""
    return config_directory().with_name("experiments")


def _quoted(text: str) -> str:
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"
