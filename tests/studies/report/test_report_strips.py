"""From noise to image: a strip per row, of the same training seed, and small."""

import base64
import io

import numpy as np
from PIL import Image
from report_study import evidence, states, study

from difflab.pages import Look
from difflab.studies.report import write_report
from difflab.studies.report.grids import Source, panels
from difflab.studies.report.strips import BYTES, strips

LIMIT = 600_000


def sources(root, seeds_of_rows, width=528, height=600):
    random, found = np.random.default_rng(0), []
    for row, seeds in enumerate(seeds_of_rows):
        runs = {seed: root / f"row{row}-{seed}" for seed in seeds}
        for run in runs.values():
            (run / "samples").mkdir(parents=True)
            for step in (20, 100):
                pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(run / "samples" / f"trajectory_{step:08d}.png")
        found.append(Source(f"row {row}", Look("row-1", "solid", "circle"), runs, "ema"))
    return found


def test_rows_are_compared_at_a_seed_that_all_have_and_at_their_last_step(tmp_path):
    found = strips(sources(tmp_path, [(0, 1, 2), (1, 2)]), LIMIT)
    assert [(one.label, one.seed, one.step) for one in found] == [("row 0", 1, 100), ("row 1", 1, 100)]
    (tmp_path / "row1-1" / "samples" / "trajectory_00000100.png").write_bytes(b"torn")
    assert [one.label for one in strips(sources(tmp_path / "other", [(0,), (3,)]), LIMIT)] == ["row 0", "row 1"]


def test_a_torn_strip_and_a_row_without_one_are_left_out(tmp_path):
    rows = sources(tmp_path, [(0,), (0,), ()])
    (tmp_path / "row1-0" / "samples" / "trajectory_00000100.png").write_bytes(b"torn")
    assert [one.label for one in strips(rows, LIMIT)] == ["row 0"]
    assert not panels(rows), "a strip is no grid of samples"


def test_strips_of_noise_are_made_small(tmp_path):
    few, many = (strips(sources(tmp_path / str(count), [(0,)] * count), LIMIT) for count in (2, 12))
    assert all(len(one.image) <= BYTES for one in few)
    assert sum(len(one.image) for one in many) <= LIMIT
    assert len(many) == 12
    picture = Image.open(io.BytesIO(base64.b64decode(few[0].image.partition(",")[2])))
    assert picture.size == (few[0].width, few[0].height)


def test_the_report_shows_one_per_row(tmp_path):
    asked = study()
    page = write_report(evidence(tmp_path, asked), states(tmp_path, asked), tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert text.count('<figure class="strip">') == 4  # two of the six rows draw from the baseline's training
    assert "From noise to image" in text
