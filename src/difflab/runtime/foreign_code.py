"""Code that is neither difflab's nor of a library that it requires: its files, found and hashed.

Code that a configuration names by `_target_` and that comes neither with difflab nor with the libraries that it requires.

Such code is part of what a run is. A package of an index (`pip install timm`) stands for itself by name and version. Everything else,
a package in a source tree, an editable installation, a file in the current folder, can change under the same name: it enters by the
hash of its sources. These are the module that a target lies in, the packages above it, and all modules that those import, followed
as long as they are of that kind too. Imports are read from the source, wherever they stand in it; what is imported by a name that is
put together at run time is not found. What changes neither is not noticed: data that such code reads, and variables of the
environment, whose values provenance.json records.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

_TICK = 20_000_000
"""Nanoseconds. Clocks of file systems advance every 1 to 10 ms: of two changes within a tick the second would not be seen."""


Stamp = tuple[int, int, int, int]
"""Size, time of the last change of the content, of any change, inode; times in nanoseconds."""


def file_stamp(path: str | Path) -> Stamp:
    """Of one file, see `file_stamps`."""
    return file_stamps([path])[0]


def file_stamps(paths: Iterable[str | Path]) -> list[Stamp]:
    """The stamp of each file.

    Who writes other pixels can set the first time back, but not the second one. A copy has other stamps than its original, so that it is
    read once more. A file that was changed just now is waited for, until a further change would have another time.
    """
    places = list(paths)
    found = [_stamp(path) for path in places]
    age = time.time_ns() - max((changed for *_, changed, _ in found), default=0)
    if 0 <= age < _TICK:
        time.sleep((_TICK - age) / 1e9)
        found = [_stamp(path) for path in places]
    return found


def _stamp(path: str | Path) -> Stamp:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@dataclass(frozen=True)
class ForeignCode:
    """What the targets of a configuration lead to.

    Attributes:
        versions: Distribution -> version, of those that were installed as a whole.
        sources: Module -> its file, of code that can change under its name.
    """

    versions: Mapping[str, str]
    sources: Mapping[str, Path]

    def fingerprints(self) -> dict[str, str]:
        """Distribution -> version, module -> hash of its source: what enters the identity of a run."""
        hashes = {module: _hash(path) for module, path in self.sources.items()}
        return dict(sorted((hashes | dict(self.versions)).items()))

    def folders(self) -> dict[str, Path]:
        """Package or module at the top -> the folder in which it lies."""
        found = {}
        for module in sorted(self.sources):
            found.setdefault(module.partition(".")[0], self.sources[module].parent)
        return found

    def variables(self) -> list[str]:
        """Variables of the environment that the sources name."""
        return sorted({name for path in self.sources.values() for name in _read(path, file_stamp(path)).variables})


def foreign_code(*nodes: Any) -> ForeignCode:
    """The foreign code that nodes of a resolved configuration name, wherever in them."""
    versions: dict[str, str] = {}
    sources: dict[str, Path] = {}
    waiting = sorted({target for node in nodes for target in targets(node) if not is_known(_top(target))})
    waiting = [module for target in waiting if (module := _module_of(target))]
    while waiting:
        module = waiting.pop()
        if module in sources or is_known(_top(module)):
            continue
        path = _file_of(module)
        if path is None:
            continue
        distribution = _distribution_of(_top(module), path)
        if distribution is not None:
            versions[distribution.name] = distribution.version
            if distribution.read_text("direct_url.json") is None:
                continue
        sources[module] = path
        parents = module.split(".")[:-1]
        waiting += [".".join(parents[: i + 1]) for i in range(len(parents))]
        waiting += _imported(module, path)
    return ForeignCode(versions, sources)


def code_of_class(cls: type) -> dict[str, str]:
    """Fingerprints of the code that a class comes from; none for a class of difflab or of a library that it requires."""
    return foreign_code({"_target_": f"{cls.__module__}.{cls.__qualname__}"}).fingerprints()


def targets(node: Any) -> Iterator[str]:
    """What the `_target_`s of a node name, and what `hydra.utils.get_class` and its like are told to get."""
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if isinstance(target, str):
            yield target
            if target.startswith("hydra.utils.get_") and isinstance(node.get("path"), str):
                yield node["path"]
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    for child in inner:
        yield from targets(child)


def is_known(top: str) -> bool:
    """Whether a package comes with Python, is difflab or belongs to a library that difflab requires."""
    if top == "difflab" or top in sys.stdlib_module_names or top in _required():
        return True
    return any(_plain(name) in _required() for name in _distributions().get(top, ()))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "_", distribution).lower()


@cache
def _required() -> frozenset[str]:
    """The libraries without which difflab does not run; what an extra brings may have another version elsewhere."""
    try:
        lines = importlib.metadata.requires("difflab") or []
    except PackageNotFoundError:  # a source tree that was not installed
        lines = ["torch", "torchvision", "pytorch-lightning", "hydra-core", "torchmetrics", "torch-fidelity", "numpy"]
    names = (re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line)
    return frozenset(_plain(name[0]) for name in names if name)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _distribution_of(top: str, path: Path) -> Distribution | None:
    """The distribution that has installed a package; None for one that lies in a source tree."""
    for name in _distributions().get(top, ()):
        distribution = importlib.metadata.distribution(name)
        url = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable = url.get("dir_info", {}).get("editable", False)
        place = Path(str(distribution.locate_file(""))).resolve()
        if not editable and path.resolve().is_relative_to(place):
            return distribution
    return None


def _file_of(module: str) -> Path | None:
    """The file of a module; None if there is none, as of a folder without __init__.py."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    path = Path(spec.origin)
    return path if path.is_file() else None


def _module_of(target: str) -> str | None:
    """The module in which an object of this name lies."""
    parts = target.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if _file_of(name)), None)


@dataclass(frozen=True)
class _Source:
    """Of a source file the modules that it imports, as they are written there, and the variables of the environment that it names."""

    imports: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    variables: frozenset[str] = frozenset()


def _imported(module: str, path: Path) -> list[str]:
    """The modules that a module imports, those among them that are found."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    found = []
    for level, name, aliases in _read(path, file_stamp(path)).imports:
        base = importlib.util.resolve_name("." * level + name, package) if level and package else name
        if base and not is_known(_top(base)):
            found += [base, *(f"{base}.{alias}" for alias in aliases)]
    return found


@lru_cache(maxsize=4096)
def _read(path: Path, stamp: Stamp) -> _Source:
    if path.suffix != ".py":
        return _Source()
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # whoever imports it is told
        return _Source()
    imports, variables = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Subscript | ast.Call):
            variables |= _variable(node)
    return _Source(tuple(imports), frozenset(variables))


def _variable(node: ast.Subscript | ast.Call) -> set[str]:
    """The name in os.environ["NAME"], os.environ.get("NAME") and os.getenv("NAME")."""
    if isinstance(node, ast.Subscript):
        place, key = ast.unparse(node.value), node.slice
    else:
        place, key = ast.unparse(node.func), node.args[0] if node.args else None
    reads = place.rpartition(".")[2] in ("environ", "getenv") or place.endswith(("environ.get", "environ.setdefault"))
    return {key.value} if reads and isinstance(key, ast.Constant) and isinstance(key.value, str) else set()


def _hash(path: Path) -> str:
    """Of a source, whatever ends its lines."""
    return _hash_of(path, file_stamp(path))


@lru_cache(maxsize=4096)
def _hash_of(path: Path, stamp: Stamp) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]
