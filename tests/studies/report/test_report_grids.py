import numpy as np
import pytest
from PIL import Image

from difflab.pages import Look
from difflab.studies.report.grids import Source, embedded, panels, thinned

LOOK = Look("row-1", "solid", "circle")


def sources(root, rows=2, seeds=(0, 1), steps=(10, 20, 30), side=64, tracks=("ema",)):
    random = np.random.default_rng(0)
    found = []
    for row in range(rows):
        runs = {}
        for seed in seeds:
            runs[seed] = root / f"row{row}-{seed}"
            (runs[seed] / "samples").mkdir(parents=True)
            for step in steps:
                for track in tracks:
                    pixels = random.integers(0, 255, (side, side, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(runs[seed] / "samples" / f"{track}_{step:08d}.png")
        found.append(Source(f"row {row}", LOOK, runs, "ema"))
    return found


def test_all_are_embedded_as_they_are_where_there_is_room(tmp_path):
    grids = embedded(panels(sources(tmp_path)))
    assert set(grids.images) == {f"{p}/{s}/{t}" for p in (0, 1) for s in (0, 1) for t in (10, 20, 30)}
    assert all(uri.startswith("data:image/png;base64,") for uri in grids.images.values())
    assert grids.note == ""


@pytest.mark.parametrize("limit", [400_000, 120_000, 60_000])
def test_they_are_made_smaller_and_fewer_and_that_is_said(tmp_path, limit):
    grids = embedded(panels(sources(tmp_path, steps=range(10, 210, 10), side=160)), limit)
    assert 0 < sum(map(len, grids.images.values())) <= limit
    assert grids.note.startswith("To keep the page small: ")
    assert grids.steps[-1] == 200  # the end of training is what the verdict is on
    assert all(f"{row}/0/200" in grids.images for row in (0, 1))


def test_the_track_that_is_judged_is_shown_and_another_one_where_it_has_no_grids(tmp_path):
    both = panels(sources(tmp_path / "a", rows=1, tracks=("online", "ema", "a_slow")))
    assert both[0].track == "ema"
    other = panels(sources(tmp_path / "b", rows=1, tracks=("online",)))
    assert other[0].track == "online"


def test_a_torn_picture_is_left_out(tmp_path):
    found = sources(tmp_path)
    torn = tmp_path / "row1-0" / "samples" / "ema_00000030.png"
    torn.write_bytes(torn.read_bytes()[:40])
    grids = embedded(panels(found))
    assert "1/0/30" not in grids.images
    assert "0/0/30" in grids.images
    assert "unreadable" in grids.note


def test_a_run_without_grids_has_no_panel(tmp_path):
    assert panels([Source("row", LOOK, {0: tmp_path})]) == []
    assert embedded([]).images == {}


def test_thinning_keeps_the_ends():
    assert thinned([1, 2, 3, 4, 5], 3) == [1, 3, 5]
    assert thinned([1, 2, 3], 1) == [3]
    assert thinned([1, 2], None) == [1, 2]
