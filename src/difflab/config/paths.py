"""Where the configuration files are."""

from __future__ import annotations

import importlib.util
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


def listed_group(words: Sequence[str]) -> str | None:
    """The group whose choices a command asks for, by +experiment=list or data=list; None if it asks for none."""
    for word in words:
        group, equals, value = word.lstrip("+").partition("=")
        if equals and value in ("list", "") and value not in (choices := config_files(group)) and choices:
            return group
    return None


def listing(group: str = "experiment") -> str:
    """Every choice of a group with the first line of its header."""
    rows = []
    for name, path in config_files(group).items():
        comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        described = [line for line in comments if not line.startswith(("@package", "alias:"))]
        rows.append((name, described[0] if described else ""))
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:{width}}  {what}".rstrip() for name, what in rows)
