"""The noise and weights of a study's rows over each other, from their configurations alone: no network is built and nothing is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from difflab.config.groups import ConfigError
from difflab.config.trust import read_back
from difflab.explaining.plots import Told, of_grids, of_schedules, of_training, overlaid, together, without_weight
from difflab.explaining.row import Row, row_of
from difflab.pages import Look, Overlay
from difflab.reading.json import dumps

PARTS = ("schedule", "parameterization", "objective", "sampler")


@dataclass(frozen=True)
class Rival:
    """A row of a study.

    Attributes:
        label: For people.
        look: Its colour.
        config: Resolved, plain.
        draw: Its own words of drawing, key -> value.
    """

    label: str
    look: Look
    config: Mapping[str, Any]
    draw: Mapping[str, str]


def compared(rivals: Sequence[Rival]) -> Overlay | None:
    """The rows over each other, those that have the same noise as one; None where all have the same, or none can be shown."""
    alike: dict[str, list[Rival]] = {}
    for rival in rivals:
        parts = _parts(rival)
        alike.setdefault(dumps({**parts, "sampler": (parts["sampler"] or {}).get("grid")}), []).append(rival)
    if len(alike) < 2:
        return None
    found, notes = list[tuple[Row, Look]](), list[str]()
    for same in alike.values():
        name = together([one.label for one in same])
        try:
            row = _row(name, _parts(same[0]))
        except (ConfigError, ValueError, OSError) as error:
            notes.append(f"{name}: left out, since {error}")
            continue
        found.append((row, same[0].look))
    if not found:
        return None
    looks = overlaid([look for _, look in found])
    told = [Told.of(row, look) for (row, _), look in zip(found, looks, strict=True)]
    plots = [*of_schedules(told), *of_grids(told), *of_training(told)]
    notes += [f"{row.name}: {note}" for row, _ in found for note in row.notes]
    return Overlay(
        tuple(replace(one, name=f"noise-{one.name}") for one in plots), tuple(without_weight(told)), tuple(notes)
    )


def _row(name: str, parts: Mapping[str, Any]) -> Row:
    """Built as what was read back is: a plan lies in a file."""
    return row_of(name, read_back(dumps({**parts, "module": {}}), Path(name)))


def _parts(rival: Rival) -> dict[str, Any]:
    """The parts by which noise and weights may differ, as the row draws; of a sampler only the grid is looked at."""
    parts = {part: rival.config.get(part) for part in PARTS}
    sampler = parts["sampler"]
    if any(key in ("sampler", "sampler.grid") for key in rival.draw):
        return {**parts, "sampler": None}  # drawn by another one, of which the words alone are known
    if isinstance(sampler, Mapping) and isinstance(sampler.get("grid"), Mapping):
        grid = {**sampler["grid"], **dict(_of_grid(rival.draw))}
        return {**parts, "sampler": {**sampler, "grid": grid}}
    return {**parts, "sampler": None}


def _of_grid(draw: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key, value in draw.items():
        name = "steps" if key == "steps" else key.removeprefix("sampler.grid.")
        if name != key or key == "steps":
            yield name, int(value) if value.isdigit() else value
