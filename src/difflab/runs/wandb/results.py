"""Results of a command in a W&B run of their own: numbers, tables, grids, pages."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from difflab.files import make_folder
from difflab.runs.directory import RunDirectory
from difflab.runs.loggers import Aside, what
from difflab.runs.wandb.after_training import Content
from difflab.runs.wandb.artifacts import without_secrets
from difflab.runs.wandb.description import Description, said_earlier, write_place
from difflab.runs.wandb.service import WandbService

_log = logging.getLogger(__name__)


def picture(path: Path, caption: str) -> Any | None:
    """A W&B image; None, with a warning, for what is none.

    Args:
        path: Of the file.
        caption: Is shown below it.
    """
    try:
        return wandb.Image(str(path), caption=caption)
    except (OSError, ValueError, SyntaxError) as error:
        _log.warning("%s is no picture that W&B takes: %s", path, what(error))
        return None


def grids_of_step(run: RunDirectory, step: int) -> dict[str, Any]:
    """`samples/<track>` -> the grid that training has drawn from an EMA track's weights.

    Args:
        run: Whose grids.
        step: At which they were drawn.
    """
    grids = {
        f"samples/{track}": picture(path, f"{track}, step {step}, seeds from 0")
        for track, path in run.pictures(step).items()
    }
    return {name: grid for name, grid in grids.items() if grid is not None}


TIMEOUT = {"online": 330.0, "offline": 90.0}
"""Seconds that W&B may take for all of it, by mode."""


def publish(
    content: Content,
    description: Description,
    params: Mapping[str, Any],
    config: Mapping[str, Any],
    mode: str,
    directory: Path,
) -> None:
    """Makes a W&B run of results, or continues the one of the same id. What goes wrong is a warning: the results are on the disk.

    Args:
        content: What is shown.
        description: Of the W&B run.
        params: Of the run that the results are of: with `run.name` and `seed`, for name and group.
        config: What the W&B run is told as its configuration.
        mode: online, offline or disabled.
        directory: Where W&B keeps its folder `wandb`.
    """
    if mode == "disabled":
        return
    service = WandbService()

    def send() -> None:
        service.start()
        atexit.register(service.kill)  # before W&B's own, which waits for ever
        make_folder(directory)
        settings = description.settings(params, said_earlier(directory / "wandb"), mode == "online")
        experiment, online = service.begin(settings | {"dir": os.path.abspath(directory)}, mode)
        if tags := description.tags(params, experiment.tags or ()):
            experiment.tags = tags
        experiment.config.update(without_secrets(config) | description.labels(params), allow_val_change=True)
        experiment.log(_shown(content))
        experiment.summary.update(dict(content.numbers))
        write_place(directory, description, experiment, online)
        experiment.finish()
        service.end()

    aside = Aside("W&B", lambda job, error: _failed(error, directory))
    aside.do(send)
    if not aside.end(TIMEOUT[mode]):
        _log.warning("W&B has not answered for %g s and may lack the results in %s", TIMEOUT[mode], directory)
    service.kill()
    atexit.unregister(service.kill)


def _failed(error: BaseException, directory: Path) -> bool:
    _log.warning("W&B does not get the results in %s: %s", directory, what(error))
    return False


def _shown(content: Content) -> dict[str, Any]:
    pictures = {name: picture(path, caption) for name, (path, caption) in content.pictures.items()}
    return {
        **{name: wandb.Table(list(one.columns), [list(map(_cell, row)) for row in one.rows]) for name, one in content.tables.items()},
        **{name: shown for name, shown in pictures.items() if shown is not None},
        **{name: wandb.Html(str(path)) for name, path in content.pages.items()},
    }  # fmt: skip


def _cell(value: Any) -> Any:
    return wandb.Image(str(value)) if isinstance(value, Path) else value
