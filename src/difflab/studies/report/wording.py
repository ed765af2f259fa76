"""Numbers of the page in few signs; in full they stand beside, in data-value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from difflab.studies.inference import PairedDifference, Speedup
from difflab.studies.report.forest import numbers, typeset
from difflab.studies.tables.rounding import scaled

NOTHING = "–"


def short(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def si(value: float | None) -> str:
    """1900000 is 1.9 M."""
    return NOTHING if value is None else scaled(value)


def duration(hours: float) -> str:
    """In the unit that suits it."""
    seconds = 3600 * hours
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def ratio(found: Speedup) -> str:
    """1.82 × [1.40, 2.37]"""
    if found.ratio is None:
        return NOTHING
    ends = "" if found.interval is None else f" [{found.interval[0]:.2f}, {found.interval[1]:.2f}]"
    return f"{found.ratio:.2f} ×{ends}"


def difference(found: PairedDifference) -> str:
    return numbers(found)


def outcomes(found: Sequence[str]) -> str:
    """In order if they are few, else counted."""
    if len(found) <= 6:
        return " → ".join(found)
    return ", ".join(f"{count} × {word}" for word, count in Counter(found).items())


def plainly(value: object) -> str:
    """Of a protocol's field."""
    return NOTHING if value is None else str(value)


def sentence(text: str) -> str:
    """Ends in a full stop and has no sign of the terminal."""
    text = typeset(text.replace("-/+", "±").replace(" .. ", " to "))
    return text if text.endswith((".", "!", "?")) else f"{text}."
