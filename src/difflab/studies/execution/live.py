"""The state of a study for the eye: a line for each row."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from difflab.runtime.invocation import command
from difflab.runtime.signals import Stage, signals
from difflab.studies.execution.state import CellState, states
from difflab.studies.planning.plan import Plan

GROUPS = {
    "done": ("done",),
    "running": ("training", "evaluating"),
    "queued": ("queued",),
    "failed": ("failed",),
}
"""Column -> states; all others are in `to do`."""

COLORS = {"done": "green", "running": "cyan", "queued": "yellow", "failed": "red", "to do": ""}

WATCHING = Stage("no longer watching; the study goes on (`cancel` stops it)", 0)

_NAMED = 60
"""Columns below which states are letters."""

_NARROW = 90
"""Columns of a terminal below which bars are left out and errors stand on lines of their own."""


def as_json(found: Sequence[CellState]) -> dict[str, Any]:
    """Cells, and how many there are in each state."""
    cells = [asdict(cell) | {"run": str(cell.run)} for cell in found]
    return {"cells": cells, "totals": dict(Counter(cell.state for cell in found))}


def table(found: Sequence[CellState], width: int, height: int | None = None) -> RenderableType:
    """The rows, and a line of totals.

    Args:
        width: Of the terminal. Where not all rows have room, those in which something runs or has failed come first.
        height: Likewise.
    """
    wide = width >= _NARROW
    grid = Table(expand=wide, box=None, pad_edge=False, header_style="bold")
    grid.add_column("row", overflow="ellipsis", no_wrap=True, min_width=8)
    for name in COLORS:
        grid.add_column(name if width >= _NAMED else name[0], justify="right", no_wrap=True)
    if wide:
        grid.add_column("progress", ratio=1)
    grid.add_column("%", justify="right", no_wrap=True)
    grid.add_column("left", justify="right", no_wrap=True)
    errors = []
    rows: dict[str, list[CellState]] = {}
    for cell in found:
        rows.setdefault(cell.row, []).append(cell)
    shown = _shown(rows, height)
    for row in shown:
        cells = rows[row]
        counts = _counts(cells)
        running = [cell for cell in cells if cell.state in ("training", "evaluating")]
        numbers = [Text(str(n) if n else "·", style=COLORS[name] if n else "dim") for name, n in counts.items()]
        part = _part(cells)
        bar = [ProgressBar(total=1.0, completed=part)] if wide else []
        grid.add_row(Text(row), *numbers, *bar, f"{math.floor(100 * part)}", _left(running))
        failed = [cell for cell in cells if cell.state == "failed"]
        if failed:
            seeds = f"seed{'s' if len(failed) > 1 else ''} {', '.join(str(cell.seed) for cell in failed)}"
            last = " (the last one)" if len({cell.error for cell in failed}) > 1 else ""
            errors.append(Text(f"{row}, {seeds}{last}: {failed[-1].error}", style="red", overflow="fold"))
    totals = ", ".join(f"{n} {name}" for name, n in _counts(found).items() if n)
    speed = sum(cell.images_per_second or 0 for cell in _once(found))
    foot = Text(f"{len(found)} cells: {totals}" + (f"; {speed:,.0f} images/s" if speed else ""), style="bold")
    hidden = [Text(f"... and {len(rows) - len(shown)} more rows", style="dim")] if len(shown) < len(rows) else []
    return Group(grid, *hidden, *errors, foot)


def show(found: Sequence[CellState], console: Console) -> None:
    """Once."""
    console.print(table(found, console.width))


def watch(look: Callable[[], Sequence[CellState]], console: Console, pause: float = 2.0) -> Sequence[CellState]:
    """Until nothing runs and nothing waits; gives back what was seen last.

    Ctrl-C ends the watching, and not the study. Where there is no terminal the table is printed at the end alone.
    """
    signals.enter(WATCHING)
    found = look()
    if not console.is_terminal:
        while is_active(found):
            time.sleep(pause)
            found = look()
        show(found, console)
        return found
    with Live(table(found, console.width, console.height), console=console, auto_refresh=False) as live:
        while is_active(found):
            time.sleep(pause)
            found = look()
            live.update(table(found, console.width, console.height), refresh=True)
    return found


def is_active(found: Sequence[CellState]) -> bool:
    return any(cell.state in ("training", "evaluating", "queued") for cell in found)


def _counts(cells: Sequence[CellState]) -> dict[str, int]:
    counts = {name: sum(cell.state in inside for cell in cells) for name, inside in GROUPS.items()}
    return counts | {"to do": len(cells) - sum(counts.values())}


def _part(cells: Sequence[CellState]) -> float:
    """Of the steps of all seeds, how many are done; what is finished counts whole."""
    total = sum(cell.steps for cell in cells)
    return sum(cell.steps if cell.state == "done" else min(cell.step, cell.steps) for cell in cells) / max(total, 1)


def _shown(rows: Mapping[str, Sequence[CellState]], height: int | None) -> list[str]:
    """In the table's order."""
    speaking = [
        row for row, cells in rows.items() if {cell.state for cell in cells} & {"training", "evaluating", "failed"}
    ]
    failed = sum(any(cell.state == "failed" for cell in cells) for cells in rows.values())
    room = len(rows) if height is None or len(rows) + failed + 3 <= height else max(1, height - failed - 4)
    chosen = set([*speaking, *(row for row in rows if row not in speaking)][:room])
    return [row for row in rows if row in chosen]


def _left(running: Sequence[CellState]) -> str:
    """Of the running one that takes longest."""
    if any(cell.state == "evaluating" for cell in running) and all(cell.seconds_left is None for cell in running):
        return "evaluating"
    seconds = [cell.seconds_left for cell in running if cell.seconds_left is not None]
    return str(timedelta(seconds=round(max(seconds)))) if seconds else ("starting" if running else "")


def _once(found: Sequence[CellState]) -> list[CellState]:
    """One cell of each training."""
    return list({cell.training: cell for cell in found}.values())


def why_no_result(plan: Plan) -> str:
    """For a person who asks for a table before there is anything to put into it."""
    found = states(plan)
    counts = Counter(cell.state for cell in found if cell.state in ("training", "evaluating", "trained", "queued"))
    if counts:
        active = ", ".join(f"{number} {state}" for state, number in counts.items())
        status = command(f"study {plan.study.name} status")
        return (
            f"there is no result of {plan.study.name} yet ({active}, of {len(found)}): `{status}` shows how far it is"
        )
    return f"there is no result of {plan.study.name} in {plan.root.resolve()}: launch it, or name the place by run.root=..."
