"""What READMEs of studies say of costs is what `plan` counts."""

import importlib.util
from pathlib import Path

import pytest

from difflab.config.paths import experiments_directory
from difflab.formatting import prefixed
from difflab.studies.planning.plan import cost_sentence
from fabricated import planned, study

SCRIPT = Path(__file__).parents[2] / "scripts" / "study_costs.py"
_spec = importlib.util.spec_from_file_location("study_costs", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
study_costs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(study_costs)

SMALL = "adm_table3"
"""A study of two rows: counted in seconds."""


def check(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    (told,) = study_costs.TOLD.findall(text)
    assert told == study_costs.sentence_of(folder), f"python scripts/study_costs.py {folder.name}"


def test_a_published_study_costs_what_its_readme_says():
    check(experiments_directory() / SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.parent.name for path in study_costs.readmes() if path.parent.name != SMALL])
def test_every_published_study_costs_what_its_readme_says(name):
    check(experiments_directory() / name)


def test_no_readme_counts_by_hand():
    for path in experiments_directory().glob("*/README.md"):
        assert "PFLOP" not in study_costs.TOLD.sub("", path.read_text(encoding="utf-8")), path


def test_the_sentence_adds_up_trainings_and_drawings(tmp_path):
    """FACTS: 1,000 steps of 128 images of 2.4 GFLOP; three seeds of two rows."""
    said = cost_sentence(planned(tmp_path, study({"base": {}, "new": {}})))
    assert said.startswith("6 trainings of 1,000 steps of 128 images: 1.84 PFLOP. 6 sets of ")
    assert [f"{prefixed(n)}FLOP" for n in (12, 999.6e3, 5.05e20)] == ["12 FLOP", "1 MFLOP", "505 EFLOP"]
