"""Numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence


def clock(seconds: float) -> str:
    """1:02:03, or 2-01:02:03 with the days before it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}-{hours:02d}' if days else hours}:{minutes:02d}:{rest:02d}"


def number(value: float) -> str:
    """With three significant digits, and all those before the point: 12,345, 123, 12.3, 0.0123."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, the cells of a column below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
