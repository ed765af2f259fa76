"""The studies of claims: each asks one thing of one small model, is told what the literature says, and can be planned."""

import csv
import io
from functools import cache

import pytest

from difflab.config.paths import experiments_directory
from difflab.config.resolve import resolve_row
from difflab.config.resolved import ResolvedConfig
from difflab.studies import Study, load_study
from difflab.studies.catalogue import find_family
from difflab.studies.planning.confounds import check_distinct, check_row
from difflab.studies.planning.facts import RowFacts
from difflab.studies.planning.planning import plan_study
from one_pass import each

FAMILY = find_family("claims")
assert FAMILY is not None
STUDIES = {file.parent.name: load_study(file) for file in FAMILY.files}

ASKED = {
    *("schedule", "norm_conditioning", "attention", "ddim_steps", "skips", "normalisation", "prediction", "upsampling"),
    *("depth_width", "guidance"),
}
RUN = {name for name in STUDIES if (experiments_directory() / "claims" / name / "results").is_dir()}


@cache
def composed(*words: str) -> ResolvedConfig:
    """The baseline of most studies is one and the same."""
    return resolve_row(words)


def resolved(study: Study) -> dict[str, ResolvedConfig]:
    return {
        name: composed(f"+experiment={row.experiment}", *study.overrides, *row.overrides)
        for name, row in study.rows.items()
    }


def test_every_claim_of_the_overviews_is_asked():
    assert STUDIES.keys() == ASKED
    for name, study in STUDIES.items():
        assert study.name == f"claims/{name}"
        assert study.seeds == (0, 1, 2, 3, 4)
        assert study.question.endswith("?")
        assert study.claim
        assert study.source
        assert study.evaluation.decides in study.margins, "without a margin nothing is ever equivalent"
        for row in study.compared():
            assert row.literature is not None, f"{name}/{row.name}"


def test_all_start_from_one_model():
    """So that a seed's baseline is trained once; two claims need another one, and say so."""
    first = STUDIES["schedule"].overrides
    others = {name: set(study.overrides) - set(first) for name, study in STUDIES.items()}
    assert {name: more for name, more in others.items() if more} == {
        "prediction": {"schedule.steps=100"},
        "guidance": {"condition_dropout=0.1"},
    }
    assert all(set(first) <= set(study.overrides) for study in STUDIES.values())


@each("name", STUDIES)
def test_rows_differ_in_what_they_declare_and_in_nothing_else(name):
    study = STUDIES[name]
    found = resolved(study)
    for row in study.compared():
        check_row(row, found[row.name], study.rows[row.against], found[row.against])
    check_distinct({row.name: (row, found[row.name]) for row in study.rows.values()})


def test_deep_and_wide_networks_cost_as_many_flops():
    facts, found = RowFacts(), resolved(STUDIES["depth_width"])
    wide, deep = (facts(found[name], ("num_samples=2000",)) for name in ("wide", "deep"))
    assert deep.training_flops == pytest.approx(wide.training_flops, rel=0.05)
    assert deep.forward_flops == pytest.approx(wide.forward_flops, rel=0.05)
    assert deep.parameters == pytest.approx(wide.parameters, rel=0.1)


@each("name", STUDIES)
def test_its_readme_says_what_is_claimed_done_and_found(name):
    folder = experiments_directory() / "claims" / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("## Claim", "## Here", "## Result", f"python study.py claims/{name} launch"):
        assert part in text, part
    if name in RUN:
        assert {file.name for file in (folder / "results").iterdir()} == {"table.md", "table.csv", "report.html"}
        assert (folder / "results" / "report.html").stat().st_size < 300_000
        assert "verdict" in (folder / "results" / "table.md").read_text(encoding="utf-8")
    else:
        assert "not run" in text


def test_claims_were_run():
    assert len(RUN) >= 6


def test_the_table_of_all_has_the_verdicts_of_each():
    """What was written into the README by `claims table` is what the studies' own tables say."""
    text = (experiments_directory() / "claims" / "README.md").read_text(encoding="utf-8").replace("\\", "")
    lines = [[cell.strip(" *") for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    told = {(line[0].strip("| "), line[1], line[2]): line for line in lines[2:]}
    for name, study in STUDIES.items():
        found = {}
        if name in RUN:
            table = (experiments_directory() / "claims" / name / "results" / "table.csv").read_text(encoding="utf-8")
            found = {line["row"]: line for line in csv.DictReader(io.StringIO(table)) if line["decides"] == "1"}
        for row in study.compared():
            line = told.pop((name, row.label, study.rows[row.against].label))
            verdict = line[6].partition(",")[0]
            assert verdict in ([found[row.name]["verdict"]] if found else ["not run", "interim"]), (name, row.name)
            if found:
                said = float(line[4].split()[0])
                assert said == pytest.approx(float(found[row.name]["delta"]), rel=0.06, abs=0.06), (name, row.name)
    assert not told


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_can_be_planned(name, tmp_path):
    plan = plan_study(STUDIES[name], [f"run.root={tmp_path}"], None, "network.width")
    assert plan.root == tmp_path / "claims" / name
    assert plan.lacking is None
    assert plan.unmeasured is None
    assert len(plan.cells) == 5 * len(plan.rows)
