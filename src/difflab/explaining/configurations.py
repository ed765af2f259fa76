"""Configurations side by side: `difflab explain schedule=[linear,cosine,edm]`."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image

from difflab.config.groups import ConfigError
from difflab.config.side_by_side import Side
from difflab.explaining.curves import log_snr, times
from difflab.explaining.drawn import draw_plots, draw_strips
from difflab.explaining.noised import TIMES, bits_left, examples_of, is_scaled, strip
from difflab.explaining.plots import (
    Told,
    of_grids,
    of_schedules,
    of_training,
    overlaid,
    steps,
    without_weight,
)
from difflab.explaining.row import Row, row_of
from difflab.files import write_text
from difflab.formatting import full, short
from difflab.pages import Plot, render, told_apart
from difflab.runtime.invocation import installation

__all__ = ["explain_configurations"]

TITLES = {
    "noised": "What noise does",
    "schedules": "Schedules",
    "grids": "Times of the samplers",
    "training": "What training looks at",
    "numbers": "Numbers",
}
"""Sections of the page, in their order."""


@dataclass(frozen=True)
class Numbers:
    """A row of the table.

    Attributes:
        name: The row's.
        alpha: At t = 1.
        sigma: At t = 1.
        highest: log-SNR at the first time that has noise.
        lowest: At the last that has signal.
        bits: Left at t = 1, bits per dimension; None without images.
        discrete: Steps of the schedule; None in continuous time.
        grid: What the sampler does.
        parts: Objective, weighting and so on, in words.
    """

    name: str
    alpha: float
    sigma: float
    highest: float
    lowest: float
    bits: float | None
    discrete: int | None
    grid: str
    parts: str


def explain_configurations(sides: Sequence[Side], out: str, command: Sequence[str]) -> Iterator[Path]:
    """Writes the page and the pictures.

    Args:
        sides: The configurations.
        out: Folder of what is written, which is made where it is missing.
        command: The words, which the page shows.

    Returns:
        The files, the page first.

    Raises:
        ConfigError: A row cannot be shown, or a package is missing; one line says which, before anything is written.
    """
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise ConfigError(f"explain draws with {package}: {installation('report')}")
    rows = [row_of(side.name, side.parts) for side in sides]
    examples = examples_of(rows, [side.parts for side in sides])
    looks = told_apart([row.name for row in rows])
    told = [Told.of(row, look) for row, look in zip(rows, overlaid(list(looks.values())), strict=True)]
    plots = {"schedules": of_schedules(told), "grids": of_grids(told), "training": of_training(told)}
    strips = {row.name: strip(row, one) for row, one in zip(rows, examples, strict=True) if one is not None}
    numbers = [_numbers(row, bits_left(row, one)) for row, one in zip(rows, examples, strict=True)]
    scaled = [row.name for row in rows if is_scaled(row)]
    shown = {
        "names": list(looks),
        "looks": looks,
        "command": shlex.join(command),
        "notes": [f"{row.name}: {note}" for row in rows for note in row.notes],
        "plots": plots,
        "strips": {name: [_embedded(image) for image in images] for name, images in strips.items()},
        "scaled": scaled,
        "is_cloud": any(one is not None and one.is_cloud for one in examples),
        "times": [f"{i / (TIMES - 1):.2g}" for i in range(TIMES)],
        "without": without_weight(told),
        "numbers": numbers,
        "sections": [
            (name, title)
            for name, title in TITLES.items()
            if name == "numbers" or (strips if name == "noised" else plots[name])
        ],
    }
    folder = Path(out)
    write_text(
        folder / "explain.html",
        render("difflab.explaining", "configurations.html.jinja", shown, ("explain.css",), filters=(short, full)),
    )
    yield folder / "explain.html"
    yield from _pictures(folder, plots, strips, scaled)


def _pictures(
    folder: Path,
    plots: Mapping[str, Sequence[Plot]],
    strips: Mapping[str, Sequence[Image.Image]],
    scaled: Sequence[str],
) -> Iterator[Path]:
    for name, some in plots.items():
        if some:
            draw_plots(some, folder / f"{name}.png")
            yield folder / f"{name}.png"
    if strips:
        title = f"x_t / sqrt(alpha² + sigma²) for {', '.join(scaled)}; x_t else" if scaled else "x_t"
        draw_strips(strips, folder / "noised.png", title)
        yield folder / "noised.png"


@torch.no_grad()
def _numbers(row: Row, bits: float | None) -> Numbers:
    alpha, sigma = row.schedule(torch.ones(1, dtype=torch.float64))
    levels = log_snr(row.schedule, times(row.schedule))
    finite = levels[levels.isfinite()]
    return Numbers(
        name=row.name,
        alpha=float(alpha),
        sigma=float(sigma),
        highest=float(finite.max()),
        lowest=float(finite.min()),
        bits=bits,
        discrete=row.schedule.steps,
        grid=steps(row),
        parts=", ".join(type(part).__name__ for part in (row.parameterization, row.objective) if part is not None),
    )


def _embedded(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
