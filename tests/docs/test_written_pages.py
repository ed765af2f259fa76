"""Tables of the pages are what their program writes, and numbers are those of their records."""

import re

import pytest
from documented import PAGES, ROOT
from scripts import write_pages

SLOW = ("scaling", "convergence", "sampler matrix")
"""Parts that take long, or that another test holds to the code: tests/samplers/test_convergence.py rows, test_matrix.py the matrix."""


def parts() -> list[tuple[str, str, str]]:
    """(page, name of a part, what stands in it)."""
    return [
        (path.relative_to(ROOT).as_posix(), part["name"], part[0])
        for path in PAGES
        for part in write_pages._PART.finditer(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [pytest.param(*part, id=part[1], marks=[pytest.mark.slow] if part[1].startswith(SLOW) else []) for part in parts()],
)
def test_a_part_of_a_page_is_as_it_is_written(page, name, text):
    assert write_pages.written(text) == text, f"{page}: run python -m scripts.write_pages"


def test_every_part_stands_on_a_page_and_every_choice_on_the_page_of_choices():
    assert {name for _, name, _ in parts()} == write_pages.PARTS.keys()
    text = (ROOT / "docs" / "choices.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^## `([\w/]+)`$", text, re.MULTILINE))
    groups = {file.parent.relative_to(ROOT / "conf").as_posix() for file in (ROOT / "conf").glob("*/**/*.yaml")}
    assert written == {
        group for group in groups if group.split("/")[0] not in ("experiment", "hydra", "module", "recipe")
    }


def test_error_rates_are_those_of_the_record():
    """docs/statistics.md quotes lines of the newest record of benchmarks/verdicts.py."""
    record = sorted((ROOT / "benchmarks" / "results").glob("*-verdicts.md"))[-1].read_text(encoding="utf-8")
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `+ ?(.+?) ?`+ \| ([\d.]+) \|", page, re.MULTILINE)
    assert len(quoted) > 20
    for what, rate in quoted:
        (line,) = [line for line in record.splitlines() if line.startswith(f"| {what} |")]
        assert line.split("|")[2].strip() == rate, line


def test_the_files_that_the_page_of_the_architecture_names_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py|/))`", text)
    assert len(named) > 30
    missing = [name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "src" / "difflab"))]
    assert not missing
    tree = text.partition("```text")[2].partition("```")[0]
    rooms = {path.name for path in (ROOT / "src" / "difflab").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {room for room in rooms if not re.search(rf"\b{room}/", tree)} == set()
