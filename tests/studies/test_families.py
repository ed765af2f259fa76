"""Folders of studies: names within a family, what the literature says of rows, one table of all, and trainings in common."""

import csv
import io
import sys

import pytest

from difflab.cli.study import main
from difflab.studies import StudyError, gather
from difflab.studies.catalogue import find_family, find_study, study_list
from difflab.studies.execution import look
from difflab.studies.nodes import Literature
from difflab.studies.planning.plan import of_family
from difflab.studies.report.family import Agreement, Answered, agreement, family_csv, family_grid
from difflab.studies.report.table_text import Markdown, Text
from difflab.studies.statistics import Outcome, verdicts
from fabricated import finish, measured, planned, study

CLAIM = {"finds": "better", "says": "FID 9 against 10", "source": "a paper, table 1"}
SEEDS = (0, 1, 2, 3, 4)


def answered(root, name, values, finds="better"):
    """A study of two rows whose second one has these ratios to the first at its seeds; none of them: it was not run."""
    rows = {"base": {"label": "plain"}, "new": {"label": "a|b", "literature": {**CLAIM, "finds": finds}}}
    of = study(rows, SEEDS, name=name, margins={"fid": "5 %"})
    plan = planned(root, of)
    if not values:
        return Answered(of, None, {})
    for seed, ratio in zip(SEEDS, values, strict=True):
        finish(plan, "base", seed, [measured("fid", 10.0 + seed, seed)])
        finish(plan, "new", seed, [measured("fid", (10.0 + seed) * ratio, seed)])
    evidence = gather(plan)
    return Answered(of, evidence, verdicts(evidence, "fid"))


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Better as was said, worse than was said, too noisy to tell, and not run."""
    root = tmp_path_factory.mktemp("family")
    return [
        answered(root, "fam/right", (0.8, 0.82, 0.79, 0.81, 0.8)),
        answered(root, "fam/wrong", (1.2, 1.22, 1.19, 1.21, 1.2)),
        answered(root, "fam/noisy", (0.7, 1.3, 0.8, 1.4, 1.0)),
        answered(root, "fam/equal", (1.0, 1.001, 0.999, 1.002, 0.998)),
        answered(root, "fam/absent", ()),
    ]


def test_a_line_has_difference_interval_verdict_and_whether_that_was_said(family):
    lines = list(csv.DictReader(io.StringIO(family_csv(family))))
    assert [(line["study"], line["verdict"], line["agreement"]) for line in lines] == [
        ("fam/right", "better", "agrees"),
        ("fam/wrong", "worse", "disagrees"),
        ("fam/noisy", "inconclusive", "cannot tell"),
        ("fam/equal", "equivalent", "disagrees"),
        ("fam/absent", "not run", ""),
    ]
    first = lines[0]
    assert float(first["delta_low"]) < float(first["delta"]) < float(first["delta_high"]) < 0
    assert float(first["delta"]) == pytest.approx(-19.6, abs=0.2)
    assert first["delta_unit"] == "%"
    assert (first["n"], first["planned"]) == ("5", "5")
    assert (first["literature"], first["literature_source"]) == ("better", "a paper, table 1")
    assert lines[-1]["n"] == "0"


def test_markdown_and_text_have_the_same_lines(family):
    grid = family_grid(family)
    written = Markdown().written(grid)
    table = [line for line in written.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 5
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1, "a bar in a label would be a column"
    assert "**better" in table[2]
    assert table[2].endswith("| better | agrees |")
    assert table[3].endswith("| better | **disagrees** |")
    assert "- Not run: absent." in written
    assert "FID 9 against 10 (a paper, table 1)" in written
    assert "over 4 of them the chance of at least one false difference is up to 19 %" in written
    text = Text().written(grid)
    assert "not run" in text
    assert [name.partition("/")[0] for name in grid.names] == ["fam"] * 5


@pytest.mark.parametrize("outcome", Outcome)
def test_what_agrees_with_the_literature(outcome):
    found = {finds: agreement(Literature(finds, "", ""), outcome) for finds in ("better", "worse", "equivalent")}
    if outcome in (Outcome.INCONCLUSIVE, Outcome.INTERIM):
        assert set(found.values()) == {Agreement.UNKNOWN}
    else:
        (same,) = [finds for finds, one in found.items() if one is Agreement.AGREES]
        assert same == ("worse" if outcome is Outcome.FAILED else outcome.value)
        assert list(found.values()).count(Agreement.DISAGREES) == 2


def test_before_all_runs_have_ended_no_difference_is_shown(tmp_path):
    one = answered(tmp_path, "fam/begun", (0.8, 0.82, 0.79, 0.81, 0.8))
    plan = planned(tmp_path, one.study)
    plan.results(plan.cells[-1]).unlink()
    evidence = gather(plan)
    found = [Answered(one.study, evidence, verdicts(evidence, "fid"))]
    (line,) = csv.DictReader(io.StringIO(family_csv(found)))
    assert (line["verdict"], line["delta"], line["n"], line["agreement"]) == ("interim", "", "4", "cannot tell")
    assert "| – | 4 of 5 | interim |" in Markdown().written(family_grid(found))


def test_a_name_may_have_its_family_before_it():
    found = study({"a": {}, "b": {}}, name="fam/own")
    assert (found.name, found.family, found.project) == ("fam/own", "fam", "fam-own")
    assert study({"a": {}, "b": {}}).family == ""
    for wrong in ("fam/", "/own", "fam/../own", "a/b/c", "../own"):
        with pytest.raises(StudyError, match="is the name of a folder"):
            study({"a": {}, "b": {}}, name=wrong)


@pytest.mark.parametrize(
    ("literature", "said"),
    [
        ({**CLAIM, "finds": "bettr"}, "did you mean 'better'"),
        ({**CLAIM, "source": ""}, "lacks 'source'"),
        ({"finds": "better"}, "lacks 'says'"),
        ({**CLAIM, "found": 1}, "unknown key 'found'"),
        ("better", "expected names with values"),
    ],
)
def test_a_claim_without_its_source_is_refused_in_a_line(literature, said):
    with pytest.raises(StudyError) as error:
        study({"a": {}, "b": {"literature": literature}})
    assert said in str(error.value)
    assert "row b.literature" in str(error.value)


def test_a_training_that_another_study_of_the_family_has_completed_is_used(tmp_path):
    own, other = tmp_path / "fam" / "mine" / "row", tmp_path / "fam" / "yours" / "base"
    mine = study({"a": {}, "b": {}}, name="fam/mine")
    assert of_family(mine, own, "id1", 3) == own
    run = other / "seed3-id1"
    run.mkdir(parents=True)
    assert of_family(mine, own, "id1", 3) == own, "it goes on in the study that has begun it"
    (run / "complete.json").touch()
    assert of_family(mine, own, "id1", 3) == other
    assert of_family(mine, own, "id2", 3) == own
    assert of_family(study({"a": {}, "b": {}}), own, "id1", 3) == own, "a study by itself has no family"
    (own / "seed3-id1").mkdir(parents=True)
    (own / "seed3-id1" / "complete.json").touch()
    assert of_family(mine, own, "id1", 3) == own


def test_studies_in_folders_are_found_by_their_names():
    family = find_family("claims")
    assert family is not None
    assert find_study("claims/schedule") in family.files
    assert "claims/schedule" in family.studies
    assert "claims/schedule " in study_list()
    assert find_family("digits_like") is None
    assert find_family("nowhere") is None
    with pytest.raises(StudyError, match=r"claims is a folder of \d+ studies, of which a table can be made"):
        find_study("claims")
    with pytest.raises(StudyError, match="did you mean 'claims/schedule'"):
        find_study("claims/shedule")


def said(capsys, *words: str) -> str:
    before, sys.argv = sys.argv, ["study.py", *words]
    try:
        main()
    finally:
        sys.argv = before
    return capsys.readouterr().out


def test_the_command_says_what_was_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    table = said(capsys, "claims", "table")
    assert table.count("| not run |") >= 10
    assert not (tmp_path / "runs").exists(), "a look at nothing leaves nothing"
    assert said(capsys, "claims", "table", "out=all.csv") == "all.csv\n"
    assert "not run" in (tmp_path / "all.csv").read_text(encoding="utf-8")
    own = tmp_path / "mine" / "one"
    own.mkdir(parents=True)
    text = find_study("claims/schedule").read_text(encoding="utf-8").replace("name: claims/schedule\n", "")
    (own / "study.yaml").write_text(text, encoding="utf-8")
    assert "| one | linear | cosine |" in said(capsys, "mine", "table"), "any folder of studies is a family"
    for words, why in (
        (("claims", "plan"), "name one of them"),
        (("claims", "table", "format=html"), "is written as markdown, text, csv"),
        (("claims", "table", "missing=allow"), "missing belongs to one study"),
    ):
        with pytest.raises(SystemExit):
            said(capsys, *words)
        assert why in capsys.readouterr().err


def test_related_studies_are_left_out_where_all_stand_together(tmp_path):
    plans = []
    for name in ("fam/one", "fam/two"):
        plan = planned(tmp_path, study({"base": {}, "new": {}}, (0,), name=name))
        for row in plan.rows:
            finish(plan, row, 0, [measured("fid", 10.0)])
        plans.append(plan)
    for plan in plans:
        look(plan)
    assert any("(the others: one)" in line for line in look(plans[1]))
    assert not any("the others" in line for line in look(plans[1], related=False))
