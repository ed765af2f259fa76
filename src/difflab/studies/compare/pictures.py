"""Samples of several runs next to each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from difflab.files import atomic_file
from difflab.runs import RunDirectory
from difflab.studies.compare.run_groups import GivenRun

COLUMNS, WIDEST, MARGIN, LINE = 4, 900, 12, 22
"""Pictures in a line; pixels of a picture at most, around it, and of a name."""

_GRID = re.compile(r"(.+)_(\d+)\.png")


def side_by_side(runs: Sequence[GivenRun], path: str | Path) -> Path | None:
    """Writes one PNG with each run's grid of samples under its name; None, and no file, if no run has one.

    Of all runs the newest step of a track that every run has; training draws all grids from the same seeds. Where there is none in
    common, each run's newest grid, else the grid of an evaluation; the line above each says which.
    """
    chosen = _chosen(runs)
    if not any(chosen):
        return None
    tiles = [_tile(run.name, grid) for run, grid in zip(runs, chosen, strict=True)]
    columns = min(COLUMNS, len(tiles))
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    lines = -(-len(tiles) // columns)
    whole = Image.new("RGB", (columns * width, lines * height), "white")
    for i, tile in enumerate(tiles):
        whole.paste(tile, (i % columns * width, i // columns * height))
    with atomic_file(path) as aside:
        whole.save(aside, format="PNG")
    return Path(path)


def _chosen(runs: Sequence[GivenRun]) -> list[Path | None]:
    named = [_grids(run) for run in runs]
    common = set(named[0]).intersection(*named[1:])
    if common:
        best = max(common, key=lambda key: (key[1], key[0]))
        return [grids[best] for grids in named]
    return [_newest(run, grids) for run, grids in zip(runs, named, strict=True)]


def _grids(run: GivenRun) -> dict[tuple[str, int], Path]:
    """(track, step) -> picture"""
    found = {path: _GRID.fullmatch(path.name) for path in RunDirectory(run.path).samples.glob("*.png")}
    return {(match[1], int(match[2])): path for path, match in found.items() if match}


def _newest(run: GivenRun, grids: dict[tuple[str, int], Path]) -> Path | None:
    if grids:
        return grids[max(grids, key=lambda key: (key[1], key[0]))]
    drawn = sorted(run.path.glob("evaluations/*/grid.png"), key=lambda path: (path.stat().st_mtime, path))
    return drawn[-1] if drawn else None


def _tile(name: str, grid: Path | None) -> Image.Image:
    font = ImageFont.load_default(15)
    source = "no samples" if grid is None else _source(grid)
    image = Image.new("RGB", (320, 320), "#eeeeee") if grid is None else Image.open(grid).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    width = max(image.width, *(int(font.getlength(text)) + 1 for text in (name, source)))
    tile = Image.new("RGB", (width + 2 * MARGIN, image.height + 2 * LINE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(tile)
    draw.text((MARGIN, MARGIN // 2), name, fill="black", font=font)
    draw.text((MARGIN, MARGIN // 2 + LINE), source, fill="#666666", font=font)
    tile.paste(image, (MARGIN, MARGIN + 2 * LINE))
    return tile


def _source(grid: Path) -> str:
    match = _GRID.fullmatch(grid.name)
    return f"{match[1]}, step {int(match[2]):,}" if match else f"{grid.parent.parent.name}/{grid.parent.name}"
