"""Sample grids of several runs, drawn from the same noise: small enough for a report, or side by side in one picture."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from difflab.files import atomic_file
from difflab.pages.figure import Look
from difflab.runs import RunDirectory

BYTES = 1_400_000
"""Of all images together, as they stand in the page (base64): the page stays below two megabytes."""

IMAGES = 400
"""More take too long to make."""

PATIENCE = ((None, None), (None, 12), (None, 6), (768, 12), (512, 8), (384, 6), (256, 4), (192, 2), (128, 1))
"""What is tried in turn until it fits: the longest side in pixels, how many steps are kept (None: as they are)."""


@dataclass(frozen=True)
class Source:
    """The trainings of a row.

    Attributes:
        runs: Seed -> directory.
        track: Whose grids are shown, if there are any of it.
    """

    label: str
    look: Look
    runs: Mapping[int, Path]
    track: str | None = None


@dataclass(frozen=True)
class Panel:
    """The pictures of a row.

    Attributes:
        files: Seed -> step -> picture.
    """

    label: str
    look: Look
    track: str
    files: Mapping[int, Mapping[int, Path]]


@dataclass(frozen=True)
class Grids:
    """The page's pictures.

    Attributes:
        seeds: That can be chosen.
        steps: Likewise.
        images: "<number of the panel>/<seed>/<step>" -> data URI.
        note: What was left out or made smaller, in words; "" if nothing was.
    """

    panels: Sequence[Panel] = ()
    seeds: Sequence[int] = ()
    steps: Sequence[int] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def panels(sources: Iterable[Source]) -> list[Panel]:
    """Those that have grids."""
    found = []
    for source in sources:
        by_track: dict[str, dict[int, dict[int, Path]]] = {}
        for seed, run in source.runs.items():
            for (track, step), path in grids_of(run).items():
                by_track.setdefault(track, {}).setdefault(seed, {})[step] = path
        if by_track:
            track = source.track if source.track in by_track else min(by_track)
            found.append(Panel(source.label, source.look, str(track), by_track[track]))
    return found


def embedded(found: Sequence[Panel], limit: int = BYTES) -> Grids:
    """The panels' pictures as data URIs, within the limit."""
    if not found:
        return Grids()
    all_seeds = sorted({seed for panel in found for seed in panel.files})
    all_steps = sorted({step for panel in found for files in panel.files.values() for step in files})
    wanted = [all_seeds, all_seeds[:3], all_seeds[:1]]
    for seeds in [s for i, s in enumerate(wanted) if s not in wanted[:i]]:
        for side, count in PATIENCE:
            steps = thinned(all_steps, count)
            paths = _paths(found, seeds, steps)
            last = seeds == wanted[-1] and (side, count) == PATIENCE[-1]
            if not last and (len(paths) > IMAGES or _estimate(list(paths.values()), side) > limit):
                continue
            paths = dict(list(paths.items())[:IMAGES])
            images = _encoded(paths, side, limit)
            note = _note(len(seeds), len(all_seeds), len(steps), len(all_steps), side, len(images), len(paths))
            return Grids(found, seeds, steps, images, note)
    raise AssertionError("the last attempt is taken whatever its size")


def thinned(steps: Sequence[int], count: int | None) -> list[int]:
    """At most so many of them, evenly over their order, the last one always."""
    if count is None or len(steps) <= count:
        return list(steps)
    if count == 1:
        return [steps[-1]]
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]


def _paths(found: Sequence[Panel], seeds: Sequence[int], steps: Sequence[int]) -> dict[str, Path]:
    """By key; all panels of the last step first, so that a page that is too full still has them."""
    return {
        f"{number}/{seed}/{step}": panel.files[seed][step]
        for step in reversed(steps)
        for seed in seeds
        for number, panel in enumerate(found)
        if step in panel.files.get(seed, {})
    }


def _estimate(paths: Sequence[Path], side: int | None) -> float:
    """Bytes of all from a few of them."""
    if side is None:
        return sum(path.stat().st_size for path in paths) * 4 / 3
    few = paths[:: max(1, len(paths) // 6)]
    return sum(len(uri) for uri in (_uri(path, side) for path in few) if uri) / len(few) * len(paths)


def _encoded(paths: Mapping[str, Path], side: int | None, limit: int) -> dict[str, str]:
    with ThreadPoolExecutor(2) as pool:  # Pillow lets go of the interpreter while it encodes
        uris = list(pool.map(lambda path: _uri(path, side), paths.values()))
    images: dict[str, str] = {}
    size = 0
    for key, uri in zip(paths, uris, strict=True):
        if uri and size + len(uri) <= limit:
            images[key] = uri
            size += len(uri)
    return images


def _uri(path: Path, side: int | None) -> str | None:
    """None for a file that is no picture, as one that is being written at this moment."""
    try:
        if side is None:
            content, kind = path.read_bytes(), "png"
            Image.open(io.BytesIO(content)).verify()
        else:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.save(buffer, "webp", quality=80, method=2)
            content, kind = buffer.getvalue(), "webp"
    except (OSError, SyntaxError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def opened(path: Path) -> Image.Image | None:
    """A picture in colour; None for a file that is none."""
    try:
        with Image.open(path) as found:
            return found.convert("RGB")
    except (OSError, SyntaxError):
        return None


def _note(seeds: int, all_seeds: int, steps: int, all_steps: int, side: int | None, made: int, wanted: int) -> str:
    parts = []
    if steps < all_steps:
        parts.append(f"{steps} of {all_steps} training steps are shown")
    if seeds < all_seeds:
        parts.append(f"{seeds} of {all_seeds} seeds are shown")
    if side is not None:
        parts.append(f"grids are reduced to {side} pixels and compressed with loss")
    if made < wanted:
        parts.append(f"{wanted - made} grids were unreadable or left out for size")
    return f"To keep the page small: {'; '.join(parts)}." if parts else ""


COLUMNS, WIDEST, MARGIN, LINE = 4, 900, 12, 22
"""Pictures in a line; pixels of a picture at most, around it, and of a name."""

_GRID = re.compile(r"(.+)_(\d+)\.png")


def grids_of(run: Path) -> dict[tuple[str, int], Path]:
    """(track, step) -> the grid that a run has drawn of it."""
    found = {path: _GRID.fullmatch(path.name) for path in RunDirectory(run).grids()}
    return {(match[1], int(match[2])): path for path, match in found.items() if match}


def side_by_side(runs: Mapping[str, Path], path: str | Path) -> Path | None:
    """Writes one PNG with each run's grid of samples under its name; None, and no file, if no run has one.

    Of all runs the newest step of a track that every run has; training draws all grids from the same seeds. Where there is none in
    common, each run's newest grid, else the grid of an evaluation; the line above each says which.

    Args:
        runs: Name -> directory.
        path: Of the picture.
    """
    chosen = _chosen(list(runs.values()))
    if not any(chosen):
        return None
    tiles = [_tile(name, grid) for name, grid in zip(runs, chosen, strict=True)]
    columns = min(COLUMNS, len(tiles))
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    lines = -(-len(tiles) // columns)
    whole = Image.new("RGB", (columns * width, lines * height), "white")
    for i, tile in enumerate(tiles):
        whole.paste(tile, (i % columns * width, i // columns * height))
    with atomic_file(path) as aside:
        whole.save(aside, format="PNG")
    return Path(path)


def _chosen(runs: Sequence[Path]) -> list[Path | None]:
    named = [grids_of(run) for run in runs]
    common = set(named[0]).intersection(*named[1:])
    if common:
        best = max(common, key=lambda key: (key[1], key[0]))
        return [grids[best] for grids in named]
    return [_newest(run, grids) for run, grids in zip(runs, named, strict=True)]


def _newest(run: Path, grids: Mapping[tuple[str, int], Path]) -> Path | None:
    if grids:
        return grids[max(grids, key=lambda key: (key[1], key[0]))]
    drawn = sorted(run.glob("evaluations/*/grid.png"), key=lambda path: (path.stat().st_mtime, path))
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
