"""Folders of configurations of the user's own: --config-dir FOLDER, or 'hydra.searchpath=[file:///FOLDER]', with every command."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from difflab.cli.places import add_config_directories

FLAGS = ("--config-dir", "-cd")
_WORD = "hydra.searchpath"


def searched(words: Sequence[str]) -> list[str]:
    """A command's words without those that name folders, which are then looked into (`places.config_directories`).

    Raises:
        ValueError: A folder is not named, or is not there.
    """
    others, folders = list[str](), list[Path]()
    given = iter(words)
    for word in given:
        key, equals, value = word.partition("=")
        if key in FLAGS:
            value = value if equals else next(given, "")
            if not value:
                raise ValueError(f"{key} needs a folder: {key} conf")
            folders.append(_folder(value, f"{key} {value}"))
        elif key.lstrip("+") == _WORD:
            folders += [_folder(one, f"{_WORD}={one}") for one in _listed(word)]
        else:
            others.append(word)
    add_config_directories(list(dict.fromkeys(folders)))
    return others


def _listed(word: str) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException as error:
        raise ValueError(f"{word} cannot be read: give a list, as 'hydra.searchpath=[file:///path/to/conf]'") from error
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _folder(name: str, said: str) -> Path:
    scheme, separator, rest = name.partition("://")
    if separator and scheme == "pkg":
        folder = _of_package(rest, said)
    elif separator and scheme != "file":
        raise ValueError(f"{said}: expected a folder, file://FOLDER or pkg://PACKAGE")
    else:
        folder = Path(rest if separator else name).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{said}: there is no such folder")
    return folder


def _of_package(name: str, said: str) -> Path:
    try:
        found = importlib.util.find_spec(name.replace("/", "."))
    except (ImportError, ValueError):
        found = None
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise ValueError(f"{said}: there is no such package")
    return Path(folders[0])
