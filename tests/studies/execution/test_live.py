"""The table in the terminal."""

import io
import json
from pathlib import Path

from rich.console import Console

from difflab.studies.execution import CellState, as_json, is_active, show, table, watch


def cell(row, seed, state, step=0, **more):
    return CellState(row, seed, f"{row}{seed}", Path("/runs") / row, state, step, 100, **more)


FOUND = [
    cell("cosine", 0, "done", 100),
    cell("cosine", 1, "training", 50, images_per_second=1200.0, seconds_left=3725.0, where="pool"),
    cell("linear [x]", 0, "failed", error="OutOfMemoryError: CUDA out of memory. Tried to allocate " + "9" * 80),
    cell("linear [x]", 1, "queued", where="job 4_1 (Priority)"),
    cell("eps", 0, "missing"),
    cell("eps", 1, "evaluating", 100),
]


def printed(width, terminal=False):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    show(FOUND, console)
    return out.getvalue()


def columns(line):
    return [int(word) if word.isdigit() else 0 for word in line.split() if word.isdigit() or word == "·"]


def test_a_line_for_each_row_and_totals():
    head, *lines = printed(120).splitlines()
    assert head.split()[:6] == ["row", "done", "running", "queued", "failed", "to"]
    assert columns(lines[0]) == [1, 1, 0, 0, 0, 75]
    assert columns(lines[1]) == [0, 0, 1, 1, 0, 0]
    assert lines[1].startswith("linear [x]"), "a name is no markup"
    assert lines[0].rstrip().endswith("1:02:05")
    assert lines[2].rstrip().endswith("evaluating")
    text = " ".join(" ".join(lines).split())
    assert "linear [x], seed 0: OutOfMemoryError: CUDA out of memory." in text
    assert text.endswith("6 cells: 1 done, 2 running, 1 queued, 1 failed, 1 to do; 1,200 images/s")


def test_the_part_that_is_done():
    lines = printed(160).splitlines()
    assert [columns(line)[-1] for line in lines[1:4]] == [75, 0, 50]
    assert lines[1].count("━") / lines[3].count("━") - 1.5 < 0.03


def test_where_there_is_little_room_what_speaks_comes_first():
    found = [cell(f"r{i}", 0, "done", 100) for i in range(50)] + [
        cell("last", 0, "training", 3),
        cell("bad", 0, "failed"),
    ]
    out = io.StringIO()
    Console(file=out, width=100).print(table(found, 100, 20))
    lines = out.getvalue().splitlines()
    assert len(lines) <= 20
    assert [line.split()[0] for line in lines[1:4]] == ["r0", "r1", "r2"]
    assert [line.split()[0] for line in lines[-5:-3]] == ["last", "bad"]
    assert "... and 37 more rows" in out.getvalue()


def test_a_narrow_terminal_loses_nothing_but_bars():
    for width in (40, 60, 89):
        lines = printed(width).splitlines()
        assert max(len(line) for line in lines) <= width
        assert "9" * 80 in "".join(line.strip() for line in lines)
        assert columns(next(line for line in lines if line.startswith("cosine"))) == [1, 1, 0, 0, 0, 75]


def test_without_a_terminal_watching_prints_once():
    looks = iter([FOUND, FOUND, FOUND[:1]])
    out = io.StringIO()
    assert watch(lambda: next(looks), Console(file=out, width=100), pause=0.01) == FOUND[:1]
    assert out.getvalue().count("row") == 1
    assert out.getvalue().rstrip().endswith("1 cells: 1 done")


def test_on_a_terminal_it_is_redrawn_until_nothing_runs():
    looks = iter([FOUND, FOUND, FOUND[:1]])
    out = io.StringIO()
    watch(lambda: next(looks), Console(file=out, width=100, force_terminal=True), pause=0.01)
    assert out.getvalue().count("6 cells:") >= 2
    assert "1 cells: 1 done" in out.getvalue().splitlines()[-2]


def test_as_data():
    found = json.loads(json.dumps(as_json(FOUND)))
    assert found["totals"] == {"done": 1, "training": 1, "failed": 1, "queued": 1, "missing": 1, "evaluating": 1}
    assert found["cells"][1]["seconds_left"] == 3725.0
    assert found["cells"][1]["run"] == "/runs/cosine"
    assert [is_active([one]) for one in FOUND] == [False, True, False, True, False, True]
