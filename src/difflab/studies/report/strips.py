"""From noise to image, a strip for each row of a study: as training has left them at its end, small enough for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from difflab.runs import RunDirectory
from difflab.studies.report.figure import Look
from difflab.studies.report.grids import Source, opened

BYTES = 100_000
"""Of a strip at most, as it stands in the page (base64)."""

PATIENCE = ((760, 70), (760, 40), (560, 40), (400, 40), (280, 30), (200, 20))
"""What is tried in turn until it fits: pixels of the width at most, and the quality of WebP."""


@dataclass(frozen=True)
class Strip:
    """The strip of a row.

    Attributes:
        label: The row.
        look: The row's.
        seed: Of the training.
        step: Of the training.
        width: Pixels.
        height: Likewise.
        image: Data URI.
    """

    label: str
    look: Look
    seed: int
    step: int
    width: int
    height: int
    image: str


def strips(sources: Sequence[Source], limit: int) -> list[Strip]:
    """One of each row that has any, of the same seed of training where there is one that all of them have.

    All are of the seeds 0, 1, ... of sampling, hence of the same noise.

    Args:
        sources: The rows.
        limit: Bytes of all of them together at most; one that cannot be made small enough is left out.
    """
    found = [(source, files) for source in sources if (files := _newest(source.runs))]
    common = set.intersection(*(set(files) for _, files in found)) if found else set()
    made = []
    for source, files in found:
        seed = min(common, default=min(files))
        if (picture := _embedded(files[seed], min(BYTES, limit // len(found)))) is not None:
            step = int(files[seed].stem.rpartition("_")[2])
            made.append(Strip(source.label, source.look, seed, step, *picture))
    return made


def _newest(runs: Mapping[int, Path]) -> dict[int, Path]:
    """Seed -> strip."""
    found = {seed: RunDirectory(run).strips() for seed, run in runs.items()}
    return {seed: files[-1] for seed, files in found.items() if files}


def _embedded(path: Path, limit: int) -> tuple[int, int, str] | None:
    """Width, height and data URI; None for a file that is no picture, or that cannot be made small enough."""
    if (whole := opened(path)) is None:
        return None
    for width, quality in PATIENCE:
        picture = whole.copy()
        picture.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "webp", quality=quality, method=4)
        uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        if len(uri) <= limit:
            return picture.width, picture.height, uri
    return None
