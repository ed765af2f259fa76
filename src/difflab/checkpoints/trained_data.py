"""The images that a run was trained on, opened again and compared with what the run wrote down; and data sets by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.config.build import build, complete
from difflab.config.groups import ConfigError
from difflab.config.keys import composed
from difflab.config.near_keys import leads_out
from difflab.config.paths import config_files
from difflab.data import DataError, ImageDataset, Shuffled
from difflab.data.subset import Spread, at_most
from difflab.reading import FileError, parse_json, read_json
from difflab.reading.json import fields
from difflab.runs.export import read_header

PLACES = ("root", "path")
"""What a data set calls the place of its files; such keys are in no run's identity."""


@dataclass(frozen=True)
class Recorded:
    """What is known of the images of a training.

    Attributes:
        fingerprint: Of the data set, or of the part of it that the run was judged by.
        images: How many these are.
        said_by: The file that says so.
    """

    fingerprint: str
    images: int
    said_by: Path

    def is_of(self, dataset: ImageDataset) -> bool:
        """Whether these are the images, in their own order or in that in which they are enlarged."""
        if len(dataset) < self.images:
            return False
        part = dataset if len(dataset) == self.images else Spread(dataset, self.images)
        return self.fingerprint in (part.fingerprint, Shuffled(part).fingerprint)


def trained_data(model: Mapping[str, Any], file: Path) -> ImageDataset:
    """The data set in a model's configuration. Relative places are looked for where the training was started, then here.

    Args:
        model: The run's configuration.
        file: Where the weights lie: in the run's directory, or an exported file.

    Raises:
        ConfigError: Other images lie there now, or none.
    """
    run = _run_of(file)
    recorded = _of_training(run) if run is not None else _of_header(file)
    instead = "To measure against other images on purpose, give reference=PATH or data=NAME"
    data, directories = fields(model, file, {"data": dict})["data"], _started_in(run, model)
    return _opened(
        fields(data, file, {"dataset": dict})["dataset"],
        recorded,
        directories,
        f"{file} was trained on",
        instead,
        data.get("max_images"),
    )


def held_out_data(model: Mapping[str, Any], file: Path) -> ImageDataset:
    """The images that were kept from training, which a model that enlarges images was judged by. Otherwise as `trained_data`."""
    run = _run_of(file)
    recorded = None if run is None else _of_protocol(run, "low_resolution")
    instead = "To enlarge other images on purpose, give low_res=PATH"
    return _opened(
        fields(model, file, {"held_out": dict})["held_out"],
        recorded,
        _started_in(run, model),
        f"{file} was evaluated on",
        instead,
    )


def judged_data(model: Mapping[str, Any], file: Path) -> ImageDataset:
    """Held-out images, else those that the model was trained on. Otherwise as `trained_data`."""
    return held_out_data(model, file) if model.get("held_out") else trained_data(model, file)


def told_parts(file: Path) -> tuple[str, ...]:
    """Names of the parts of the condition that a model was told in training; none where nobody has written them down.

    Args:
        file: Where the weights lie: in the run's directory, or an exported file.
    """
    run = _run_of(file)
    if run is not None:
        said = next((start["data"] for start in reversed(_starts(run)) if isinstance(start.get("data"), dict)), {})
    else:
        said = _header_data(file)
    told = said.get("condition", [])
    return tuple(map(str, told)) if isinstance(told, list) else ()


def _opened(
    dataset: Mapping[str, Any],
    recorded: Recorded | None,
    directories: list[Path],
    before: str,
    instead: str,
    max_images: int | None = None,
) -> ImageDataset:
    """The data set at the first place that holds what was recorded.

    Args:
        dataset: Its node in the configuration.
        recorded: None where nobody has written down which images it were.
        directories: Below which its relative places may lie.
        before: "<file> was trained on".
        instead: What else a user may do.
        max_images: How many of its images there were at most; None: all.
    """
    others, missing = [], []
    for candidate in _candidates(dict(dataset), directories):
        try:
            found = at_most(build(candidate), max_images)
        except (DataError, OSError, ConfigError) as error:
            missing.append(" ".join(str(error).split()))
            continue
        if recorded is None:
            if list(_places(candidate)):
                warnings.warn(
                    f"{before} images of which nothing was written down: those of {_described(candidate)} are taken unchecked",
                    stacklevel=3,
                )
            return found
        if recorded.is_of(found):
            return found
        others.append(f"{_described(candidate)} holds {len(found)} images ({found.fingerprint})")
    if not others:
        raise ConfigError(f"{before} images that are not here: {missing[-1]} Run the command where they lie. {instead}")
    assert recorded is not None
    raise ConfigError(
        f"{before} {recorded.images} images with the fingerprint {recorded.fingerprint} (by {recorded.said_by}), and now "
        f"{' and '.join(others)}: they are others, or were changed. Put them back, or run the command where they lie. {instead}"
    )


def _run_of(file: Path) -> Path | None:
    """The directory of the run to which a file of weights belongs."""
    return next((folder for folder in list(file.absolute().parents)[:2] if (folder / "config.yaml").is_file()), None)


def _of_training(run: Path) -> Recorded | None:
    for start in reversed(_starts(run)):
        if isinstance(data := start.get("data"), dict) and {"fingerprint", "images"} <= data.keys():
            return Recorded(data["fingerprint"], data["images"], run / "provenance.json")
    return _of_protocol(run, "reference")  # a run of an earlier version


def _of_protocol(run: Path, role: str) -> Recorded | None:
    for protocol in _json(run / "protocol.json", {}).values():
        if isinstance(protocol, dict) and (f"{role}.fingerprint" in protocol and f"{role}.images" in protocol):
            return Recorded(protocol[f"{role}.fingerprint"], protocol[f"{role}.images"], run / "protocol.json")
    return None


def _of_header(file: Path) -> Recorded | None:
    said = _header_data(file)
    if not said:
        return None
    fields(said, file, {"fingerprint": str, "images": int})
    return Recorded(said["fingerprint"], said["images"], file)


def _header_data(file: Path) -> Mapping[str, Any]:
    """What an exported file says of the data; nothing where it does not."""
    header = read_header(file) if file.suffix == ".safetensors" else {}
    return fields(parse_json(header["data"], f"{file}: data in its header"), file, {}) if "data" in header else {}


def _started_in(run: Path | None, model: Mapping[str, Any]) -> list[Path]:
    """Where the training was started: as it was written down, and as the run's own place says."""
    if run is None:
        return []
    directories = [
        Path(start["directory"]) for start in reversed(_starts(run)) if isinstance(start.get("directory"), str)
    ]
    place = fields(fields(model, run / "config.yaml", {"run": dict})["run"], run / "config.yaml", {"root": str})
    below = Path(place["root"]) / str(place.get("name"))
    if not below.is_absolute() and run.parent.parts[-len(below.parts) :] == below.parts:
        directories.append(run.parents[len(below.parts)])
    return directories


def _candidates(node: dict[str, Any], directories: list[Path]) -> Iterator[dict[str, Any]]:
    """The node with its relative places below each directory that has them, then as it is."""
    seen = []
    for directory in directories:
        placed = _below(node, directory)
        if placed != node and placed not in seen and all(Path(place).exists() for place in _places(placed)):
            seen.append(placed)
            yield placed
    if _below(node, Path.cwd()) not in seen:
        yield node


def _below(node: Any, directory: Path) -> Any:
    if isinstance(node, dict):
        return {
            key: str(directory / value) if key in PLACES and isinstance(value, str) else _below(value, directory)
            for key, value in node.items()
        }
    return [_below(value, directory) for value in node] if isinstance(node, list) else node


def _places(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in PLACES and isinstance(value, str):
            yield value
        else:
            yield from _places(value)


def _described(node: dict[str, Any]) -> str:
    places = [str(Path(place).absolute()) for place in _places(node)]
    return " and ".join(places) or str(node["_target_"]).rsplit(".", 1)[-1]


def _starts(run: Path) -> list[dict[str, Any]]:
    return [start for start in _json(run / "provenance.json", []) if isinstance(start, dict)]


def _json(path: Path, otherwise: Any) -> Any:
    try:
        return read_json(path, type(otherwise))
    except FileError:
        return otherwise


def data_set(name: str, beside: Mapping[str, Any] | None) -> ImageDataset | None:
    """The images of that name, as conf/data/<name>.yaml describes them; None if there is no such file, or if it leaves something open.

    Args:
        name: Of the choice in the group `data`.
        beside: Node of a reference, plain: one from the same data set says where the files are.
    """
    if leads_out(name) or name not in config_files("data"):
        return None
    node = complete(composed("evaluate", [f"data={name}"]).data.dataset)
    if node is None:
        return None
    if beside is not None and beside.get("_target_") == node["_target_"]:
        node |= {key: beside[key] for key in PLACES if beside.get(key, "???") != "???"}
    return build(node)
