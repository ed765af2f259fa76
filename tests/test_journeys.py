"""Bounds on the files that run on three journeys through difflab, so that a reader can follow them; see benchmarks/journeys.py."""

import pytest
from benchmarks.journeys import counted

AT_MOST = {"train": 138, "evaluate": 126, "report": 53}
"""Journey -> files of difflab on it, as measured. 65, 65 and 60 are wanted: a bound is only ever lowered."""


@pytest.mark.slow
@pytest.mark.parametrize("journey", AT_MOST)
def test_a_journey_is_short(tmp_path, journey):
    files = counted(journey, tmp_path)
    assert len(files) <= AT_MOST[journey], ", ".join(files)
    assert f"cli/{'study' if journey == 'report' else journey}.py" in files
