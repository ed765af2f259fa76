"""Sample grids of all rows, drawn from the same noise, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from difflab.runs import RunDirectory
from difflab.studies.report.figure import Look

BYTES = 1_400_000
"""Of all images together, as they stand in the page (base64): the page stays below two megabytes."""

IMAGES = 400
"""More take too long to make."""

PATIENCE = ((None, None), (None, 12), (None, 6), (768, 12), (512, 8), (384, 6), (256, 4), (192, 2), (128, 1))
"""What is tried in turn until it fits: the longest side in pixels, how many steps are kept (None: as they are)."""


@dataclass(frozen=True)
class Source:
    """The trainings of a row.

    runs   seed -> directory
    track  whose grids are shown, if there are any of it
    """

    label: str
    look: Look
    runs: Mapping[int, Path]
    track: str | None = None


@dataclass(frozen=True)
class Panel:
    """files   seed -> step -> picture"""

    label: str
    look: Look
    track: str
    files: Mapping[int, Mapping[int, Path]]


@dataclass(frozen=True)
class Grids:
    """seeds, steps   that can be chosen
    images         "<number of the panel>/<seed>/<step>" -> data URI
    note           what was left out or made smaller, in words; "" if nothing was
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
            for path in sorted(RunDirectory(run).samples.glob("*_*.png")):
                track, step = path.stem.rsplit("_", 1)
                if step.isdigit():
                    by_track.setdefault(track, {}).setdefault(seed, {})[int(step)] = path
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
