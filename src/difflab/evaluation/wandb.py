"""Results of evaluate.py and sample.py in W&B.

Scores are added to the summary of the training's W&B run, so that runs can be sorted by them. Tables and grids are in a W&B run of
their own, of job type evaluate or sample, in the group of the training's: a set of images has a configuration of its own (sampler,
guidance, seeds), and the steps of the training's charts have no place for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from difflab.config.groups import ConfigError
from difflab.data.errors import warn
from difflab.formatting import sampler_words
from difflab.reading import read_yaml
from difflab.runs import RunDirectory
from difflab.runs.listing import run_id
from difflab.runs.wandb.after_training import Content, Table, mirror_nodes, tell

if TYPE_CHECKING:
    from difflab.evaluation.results import Measurement
    from difflab.evaluation.run import Measured
    from difflab.sampling.job import SamplingJob

SHOWN_CLASSES, SHOWN_OF_A_CLASS = 100, 8
"""Of a table of classes: its rows, and the images in a row."""


class Place(NamedTuple):
    """Where results go.

    Attributes:
        node: Of the mirror, plain.
        run: Whose results they are; None for images of no run.
        asked: Whether the command names the mirror, and not the run.
    """

    node: Mapping[str, Any]
    run: RunDirectory | None
    asked: bool


Loggers = Mapping[str, Any] | None
"""Name -> node of the command's `logger`, plain; None where it says nothing of them."""


def check_mirror(loggers: Loggers) -> None:
    """Raises a ConfigError where the command's `logger` is not one that takes results."""
    nodes = list(mirror_nodes(loggers or {}))
    if len(nodes) < len(loggers or {}):
        raise ConfigError(
            f"logger={','.join(loggers or {})}: results are sent to W&B alone: logger=wandb, or logger=none for nothing"
        )
    for node in nodes:
        from difflab.runs.wandb.service import WandbError, chosen_mode

        try:
            chosen_mode(node["mode"])
        except WandbError as error:
            raise ConfigError(str(error)) from error


def place_of(loggers: Loggers, job: SamplingJob | None) -> Place | None:
    """Where results go: as the command's `logger` says, else as the run was mirrored; None for nowhere.

    Args:
        loggers: Of the command.
        job: By which images are drawn; None for images that exist.
    """
    run, asked = None, loggers is not None
    if job is not None and job.before is None:
        directory = RunDirectory(job.model.file.parent.parent)
        run = directory if directory.config.exists() else None
    if loggers is None and run is not None and (run.path / "wandb").is_dir():
        loggers = read_yaml(run.config).get("logger")
    node = next(mirror_nodes(loggers or {}), None)
    return None if node is None else Place(node, run, asked)


def mirror_evaluation(loggers: Loggers, measured: Measured) -> None:
    """Sends what was measured of one set of images.

    In the training's summary it is evaluate/<track>/<metric>@<samples>, with its interval and the fingerprint of its protocol. Settings
    that such a name does not tell apart have one place there, that of the last evaluation; results.json has all.

    Args:
        loggers: Of the command.
        measured: Images and numbers.
    """
    images, job, numbers = measured.images, measured.images.job, measured.results.measurements
    place = place_of(loggers, job)
    if place is None:
        return
    if place.run is not None and job is not None and (place.run.path / "wandb").is_dir():
        scores = _numbers(numbers, f"evaluate/{job.model.track}/", images.count)
        for node in mirror_nodes(read_yaml(place.run.config).get("logger") or {}):
            tell(place.run, node, lambda mirror, params: mirror.summarise(params, scores))
    grid = images.folder / "grid.png"
    with TemporaryDirectory() as folder:
        classes = _classes(measured, Path(folder))
        content = Content(
            numbers=_numbers(numbers, "", images.count),
            tables={"results": Table(_COLUMNS, [_row(one) for one in numbers])}
            | ({"classes": classes} if classes else {}),
            pictures={"samples": (grid, caption(job))} if job is not None and grid.exists() else {},
        )
        config = {"subject": images.about, "protocol": {one.metric: one.protocol.fields for one in numbers}}
        defined_by = [images.fields, images.about.get("weights_sha256")]
        _send(place, "evaluate", images.name, defined_by, config, content, images.folder)


def mirror_sweep(
    loggers: Loggers,
    measured: Sequence[Measured],
    table: Table,
    numbers: Mapping[str, Any],
    fronts: Sequence[Path],
    folder: Path,
) -> None:
    """Sends what a sweep has found.

    Args:
        loggers: Of the command.
        measured: By setting.
        table: A row per setting.
        numbers: The best setting and its number.
        fronts: Pictures.
        folder: Of the sweep.
    """
    images = measured[0].images
    place = place_of(loggers, images.job)
    if place is not None:
        content = Content(numbers, {"sweep": table}, {path.stem: (path, images.name) for path in fronts})
        _send(place, "evaluate", f"sweep of {images.name}", [folder.name], {"subject": images.about}, content, folder)


def mirror_samples(job: SamplingJob, grid: Path, beside: Mapping[str, Path] = MappingProxyType({})) -> None:
    """Sends the grid of what was drawn, with what defines it.

    Args:
        job: By which it was drawn.
        grid: The picture.
        beside: What else was made, name -> file, of which pictures are sent.
    """
    place = place_of(job.options.logger, job)
    if place is None:
        return
    name = f"{job.subject['run'] or Path(job.subject['checkpoint']).stem} seed {job.subject['seed']}"
    others = {path.stem: (path, caption(job)) for path in beside.values() if path.suffix == ".png"}
    content = Content(pictures={"samples": (grid, caption(job))} | others)
    config = {"subject": job.subject, "protocol": job.protocol_fields}
    _send(place, "sample", name, [job.folder.plan.fingerprint, job.count], config, content, job.folder.path)


def caption(job: SamplingJob) -> str:
    """What a grid shows, in a line."""
    options, subject = job.options, job.subject
    shown = min(int(options.grid or job.count), job.count)
    guided = [
        f"{name} {node['scale']}" if "scale" in node else name for name, node in (job.config["guidance"] or {}).items()
    ]
    parts = [
        f"{shown} of {job.count} images",
        f"{job.model.track} at step {subject['step']}",
        sampler_words(job.config["sampler"], " {} steps"),
        f"guidance {', '.join(guided)}" if guided else "no guidance",
        f"seeds {options.first_seed} .. {options.first_seed + shown - 1}",
    ]
    return ", ".join(parts)


def _send(
    place: Place,
    job_type: str,
    name: str,
    defined_by: Sequence[Any],
    config: Mapping[str, Any],
    content: Content,
    folder: Path,
) -> None:
    from difflab.runs.wandb.description import Description, Said, tags_of
    from difflab.runs.wandb.service import WandbError, chosen_mode

    try:
        from difflab.runs.wandb.results import publish

        mode = chosen_mode(place.node["mode"])
    except (ImportError, WandbError) as error:
        warn(f"W&B does not get the results in {folder}: {error}")
        return

    node, about = place.node, {"run": {"name": name}}
    if place.run is not None:
        about = {key: value for key, value in read_yaml(place.run.config).items() if key in ("run", "seed")}
    digest = sha256(repr(defined_by).encode()).hexdigest()[:10]
    said = Said(
        (node.get("name") if place.asked else None) or f"{job_type} {name}",
        node.get("notes") if place.asked else None,
        tags_of(node.get("tags")),
    )
    origin = run_id(place.run.path) if place.run is not None else re.sub(r"[^\w.-]+", "-", name)[:80]
    description = Description(
        node["project"], node.get("entity"), f"{origin}-{job_type}-{digest}", node.get("group"), job_type, said
    )
    publish(content, description, about, config, mode, folder)


_COLUMNS = ("metric", "samples", "value", "low", "high", "std_error", "better", "protocol", "why")


def _row(one: Measurement) -> tuple[Any, ...]:
    low, high = one.interval() or (None, None)
    better = one.info.direction if one.info else ""
    return one.metric, one.samples, one.value, low, high, one.std_error, better, one.protocol.fingerprint, one.why


def _numbers(measurements: Sequence[Measurement], prefix: str, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in measurements:
        name = f"{prefix}{one.metric}@{count}"
        found |= {name: float(one.value), f"{name}/protocol": one.protocol.fingerprint}
        if interval := one.interval():
            found |= {f"{name}/low": interval[0], f"{name}/high": interval[1]}
    return found


def _classes(measured: Measured, folder: Path) -> Table | None:
    """A row per class: how many images were measured, and the first of them."""
    import torch
    from torchvision.utils import save_image

    from difflab.files import atomic_file
    from difflab.pictures import grid_of

    labels, images = measured.features.labels if measured.features else None, measured.images.seen
    if labels is None or images is None:
        return None
    rows = []
    for number in labels.unique().tolist()[:SHOWN_CLASSES]:
        own = (torch.as_tensor(labels) == number).nonzero()[:, 0]
        path = folder / f"{number}.png"
        with atomic_file(path) as aside:
            save_image(grid_of(images.images(own[:SHOWN_OF_A_CLASS].tolist()), SHOWN_OF_A_CLASS), aside, format="png")
        rows.append((number, len(own), path))
    return Table(("class", "images", "first"), rows)
