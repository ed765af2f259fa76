"""Reading the local record of metrics, which `MetricsLog` writes."""

from __future__ import annotations

import json
from math import nan
from pathlib import Path


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl, one for each step; a torn last line is left out, and what was not finite is NaN."""
    rows: dict[float, dict[str, float]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.setdefault(row["step"], {}).update({name: nan if value is None else value for name, value in row.items()})
    return [rows[step] for step in sorted(rows)]
