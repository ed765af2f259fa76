"""A study from its file to its table: each word of the command line, each mistake of the file, and the runs that come of it."""

import contextlib
import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from difflab.cli.evaluate import evaluate
from difflab.cli.study import main, understood
from difflab.cli.train import train
from difflab.studies import StudyError, load_study
from difflab.studies.evidence import gather
from difflab.studies.planning import Plan
from difflab.studies.planning.planning import plan_study
from running import SMALL, composed

STUDY = {
    "question": "Does AdaGN help?",
    "baseline": "adagn",
    "seeds": [0, 1],
    "experiment": "cosine_adagn",
    "overrides": [*SMALL[1:], "trainer.max_steps=6", "eval.every=3", "sampler.eta=1.0"],
    "evaluation": {
        "decides": "fd_digits",
        "metrics": ["fd_digits", "is_digits"],
        "overrides": [
            *("num_samples=40", "batch_size=20", "replicates=8", "metric=[frechet,inception_score]"),
            "metric.inception_score.splits=1",
        ],
    },
    "margins": {"fd_digits": 1.0},
    "rows": {
        "adagn": {"label": "AdaGN"},
        "addgn": {"label": "addition & GroupNorm", "change": ["network.norm"], "overrides": ["network/norm=addgn"]},
        "few_steps": {"label": "two steps", "change": ["draw.steps"], "draw": ["steps=2"]},
    },
}


def written(folder: Path, **changes: object) -> Path:
    """A study's file in a folder of its own."""
    path = folder / "tiny" / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")
    return path


def row(**changes: object) -> dict:
    return {"rows": {**STUDY["rows"], "addgn": {**STUDY["rows"]["addgn"], **changes}}}


CITED = {
    "cited": True,
    "label": "somebody's",
    "published": {"fd_digits": {"value": 3.5, "source": "a paper, table 9", "confidence": "paper"}},
}


def cited(**changes: object) -> dict:
    """With a cited row before all others."""
    return {"rows": {"theirs": {**CITED, **changes}, **STUDY["rows"]}}


def said(capsys, *words: object) -> str:
    """What `study.py <words>` prints; an error's line where it ends with one.

    That it plans first: tests/studies/planning/test_known_plan.py.
    """
    sys_argv, sys.argv = sys.argv, ["study.py", *map(str, words)]
    try:
        with contextlib.suppress(SystemExit):
            main()
    finally:
        sys.argv = sys_argv
    captured = capsys.readouterr()
    return captured.out + "".join(line for line in captured.err.splitlines(True) if not line.startswith("planning "))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("my study ü")


@pytest.fixture(scope="module")
def file(root) -> Path:
    return written(root)


@pytest.fixture(scope="module")
def run_root(root) -> str:
    return f"run.root={root / 'runs'}"


@pytest.fixture(scope="module")
def ran(file, run_root, root) -> Plan:
    """The plan, of which all but one seed of one row has been run, each by the command that the plan gives it."""
    plan = plan_study(load_study(file), [run_root], None, "network.width")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setenv("DIFFLAB_CACHE", str(root / "cache"))
        for training in plan.trainings:
            train(composed("train", *training.overrides))
        for cell in plan.cells:
            if (cell.row, cell.seed) != ("few_steps", 1):
                evaluate(composed("evaluate", *plan.evaluation_command(cell)))
    return plan


def test_rows_that_draw_differently_share_their_training(ran):
    assert [(t.name, t.seed) for t in ran.trainings] == [
        *(("tiny/adagn", 0), ("tiny/addgn", 0), ("tiny/adagn", 1), ("tiny/addgn", 1))
    ]
    assert [cell.training for cell in ran.cells if cell.row == "few_steps"] == [0, 2]
    assert ran.rows["few_steps"].facts.sampling_calls == 2
    assert ran.rows["adagn"].facts.sampling_calls == 4


def test_runs_lie_where_the_plan_says(ran):
    for training in ran.trainings:
        assert (training.directory / "complete.json").is_file()
    assert [ran.results(cell).is_file() for cell in ran.cells] == [True] * 5 + [False]


@pytest.mark.slow
def test_a_study_with_more_steps_goes_on_where_its_rows_have_arrived(ran, file, run_root, root, monkeypatch):
    """Its runs are others, and those of fewer steps stay what they were."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(root / "cache"))
    longer = plan_study(load_study(file), [run_root, "trainer.max_steps=8"], None, "network.width")
    assert not {one.directory for one in longer.trainings} & {one.directory for one in ran.trainings}
    before = gather(ran).arms["adagn"].replicates[0]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", *longer.trainings[0].overrides))
        evaluate(composed("evaluate", *longer.evaluation_command(longer.cells[0])))
    assert f"extended from 6 to 8 steps: {ran.trainings[0].directory} (complete) has trained" in out.getvalue()
    assert list(gather(longer).arms["adagn"].replicates) == [0]
    assert gather(ran).arms["adagn"].replicates[0] == before


def test_replicates_draw_other_noise_and_rows_the_same(ran):
    seeds = {
        (cell.row, cell.seed): json.loads(ran.results(cell).read_text(encoding="utf-8"))["measurements"][0]["protocol"][
            "seeds"
        ]
        for cell in ran.cells[:5]
    }
    assert seeds["adagn", 0] == seeds["addgn", 0] == seeds["few_steps", 0] == "0 .. 39"
    assert seeds["adagn", 1] == seeds["addgn", 1] == "40 .. 79"


def test_the_table_says_what_results_say(ran, file, run_root, capsys):
    refused = said(capsys, file, "table", run_root)
    assert refused.startswith("error:")
    assert "few_steps" in refused
    assert "missing=allow" in refused
    rows = list(csv.DictReader(io.StringIO(said(capsys, file, "table", run_root, "missing=allow", "format=csv"))))
    measured = [
        next(
            m["value"]
            for m in json.loads(ran.results(cell).read_text(encoding="utf-8"))["measurements"]
            if m["metric"] == "fd_digits"
        )
        for cell in ran.cells[:2]
    ]
    (mine,) = [line for line in rows if line["row"] == "adagn" and line["metric"] == "fd_digits"]
    assert sum(measured) / 2 == pytest.approx(float(mine["mean"]), rel=1e-12)
    assert {line["verdict"] for line in rows if line["against"] and line["decides"] == "1"} == {
        "interim"
    }  # one run is not evaluated
    for _ in range(2):  # a look counts where results have come
        assert "- First look at this study" in said(capsys, file, "table", run_root, "missing=allow")


def test_the_report_is_one_page(ran, file, run_root, capsys, tmp_path):
    path = tmp_path / "page.html"
    assert said(capsys, file, "report", run_root, f"out={path}").strip() == str(path)
    page = path.read_text(encoding="utf-8")
    assert "Does AdaGN help?" in page
    assert "addition &amp; GroupNorm" in page
    assert "1 of 2" in page or "missing" in page.lower()


def test_runs_are_compared_outside_of_a_study(ran, capsys, tmp_path):
    first, second = ran.trainings[0].directory, ran.trainings[1].directory
    text = said(capsys, "compare", first, second, f"out={tmp_path / 'both.png'}")
    assert "network.norm" in text
    assert "FD (digits, 40)" in text
    assert "First look at this study" in text  # the runs are a study's
    assert Image.open(tmp_path / "both.png").width > 100
    assert "compare has no option wave" in said(capsys, "compare", first, "wave=[seeds]")
    assert "two run directories" in said(capsys, "compare", first)


def test_status_tells_done_from_due(ran, file, run_root, capsys):
    found = json.loads(said(capsys, file, "status", "--json", run_root))
    assert found["totals"] == {"done": 5, "trained": 1}


def test_a_plan_is_told_to_people_and_programs(ran, file, run_root, capsys):
    text = said(capsys, file, "plan", run_root, "rate=1e12", "difference=1")
    assert "4 trainings of" in text
    assert "6 sets of 40 samples" in text
    assert "seeds" in text.splitlines()[-1]
    assert "power" in text
    assert "a difference of 5 %" in said(capsys, file, "plan", run_root, "difference=5%")
    assert "error: difference = '5 %%'" in said(capsys, file, "plan", run_root, "difference=5 %%")
    plan = json.loads(said(capsys, file, "plan", "--json", run_root))
    assert plan["trainings"][2]["directory"] == str(ran.trainings[2].directory)
    assert plan["rows"]["addgn"]["parameters"] < plan["rows"]["adagn"]["parameters"]


def test_a_table_is_written_in_the_form_of_its_file(ran, file, run_root, capsys, tmp_path):
    path = tmp_path / "table.tex"
    assert said(capsys, file, "table", run_root, "missing=allow", f"out={path}").strip() == str(path)
    assert "\\toprule" in path.read_text(encoding="utf-8")


def test_a_cited_row_is_shown_everywhere_and_runs_nowhere(ran, root, run_root, capsys, tmp_path):
    """The runs are those of the study without it: it has no part in a plan, a launch or a verdict."""
    file = written(tmp_path, **cited())
    plan = plan_study(load_study(file), [run_root], None, "network.width")
    assert [t.identity for t in plan.trainings] == [t.identity for t in ran.trainings]
    assert [cell.row for cell in plan.cells] == [cell.row for cell in ran.cells]
    text = said(capsys, file, "plan", run_root)
    assert "(cited: nothing runs)" in text
    assert "somebody's: fd_digits 3.5 (a paper, table 9)" in text
    found = json.loads(said(capsys, file, "plan", "--json", run_root))
    assert found["cited"]["theirs"]["published"]["fd_digits"]["value"] == 3.5
    assert "theirs" not in found["rows"]
    for _ in range(2):  # planned, and then as it is known from the last plan
        assert "cited somebody's: fd_digits 3.5 (a paper, table 9)" in said(capsys, file, "status", run_root)
    assert json.loads(said(capsys, file, "status", "--json", run_root))["cited"] == [
        "somebody's: fd_digits 3.5 (a paper, table 9)"
    ]
    script = said(capsys, file, "launch", run_root, "launcher=slurm", "launcher.dry_run=true")
    assert "adagn" in script or "trainings" in script
    assert "theirs" not in script
    table = said(capsys, file, "table", run_root, "missing=allow")
    assert table.splitlines()[5].startswith("| somebody's ᵈ | – | 3.5 ᵈ |")
    assert "Cited from a paper, table 9: somebody's" in table
    page = tmp_path / "page.html"
    assert said(capsys, file, "report", run_root, f"out={page}").strip() == str(page)
    assert "somebody&#x27;s" in page.read_text(encoding="utf-8")


def test_what_evaluations_warn_of_is_told_with_the_rows_and_seeds(ran, file, run_root, capsys):
    """40 samples of 64 features are too few: a log said it, which nobody reads who reads the table."""
    told = "(evaluations of adagn, seeds 0, 1; addgn, seeds 0, 1; few_steps, seed 0)"
    for words in (["status"], ["table", "missing=allow"]):
        text = said(capsys, file, *words, run_root)
        assert "40 samples are fewer than the 64 dimensions of the features" in text
        assert " ".join(told.split()) in " ".join(text.replace("\\_", "_").split())


def test_two_studies_of_one_name_are_told_apart(ran, file, run_root, root, capsys):
    said(capsys, file, "table", run_root, "missing=allow")  # which records whose runs these are
    twin = written(root / "elsewhere", question="Another question?")
    words = "are two studies named tiny, and share"
    text = said(capsys, twin, "plan", run_root)
    assert words in text
    assert str(file) in text
    assert words not in said(capsys, file, "plan", run_root)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ablaton.yaml", "did you mean 'ablation.yaml'?"),
        ("./ablaton.yml", "did you mean 'ablation.yaml'?"),
        ("mine/studie.yaml", "did you mean 'mine/study.yaml'?"),
        ("digits_lik", "did you mean 'digits_like'?"),
        ("xyz", "in ./ there are ablation.yaml, mine; adm_table1, "),
    ],
)
def test_a_misspelt_study_is_answered_by_the_near_one(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ablation.yaml").write_text("{}", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(words)):
        understood([name, "plan"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ("evaluations will give fd_digits, is_digits, and not fid", "or decide by fd_digits")),
        (["extractor=inception"], ("fid cannot be measured", "$DIFFLAB_INCEPTION")),
    ],
)
def test_a_study_whose_metric_cannot_be_measured_is_refused_before_it_costs_anything(
    overrides, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))  # no weights are there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("DIFFLAB_INCEPTION", raising=False)
    given = [*STUDY["evaluation"]["overrides"], *overrides]
    file = written(
        tmp_path, evaluation={"decides": "fid", "metrics": ["fid"], "overrides": given}, margins={"fid": "5 %"}
    )
    root = tmp_path / "runs"
    for verb in ("plan", "launch"):
        line = said(capsys, file, verb, f"run.root={root}").splitlines()[-1]
        assert line.startswith("error: tiny: ")
        for word in (*words, "`difflab weights fetch inception`"):
            assert word in line
    assert not root.exists()


def test_rows_are_made_equal_in_parameters(file, run_root):
    wide = [run_root, "network.width=48"]
    plain = plan_study(load_study(file), wide, None, "network.width")
    matched = plan_study(load_study(file), wide, "params", "network.width")
    before = abs(plain.rows["addgn"].facts.parameters / plain.rows["adagn"].facts.parameters - 1)
    after = abs(matched.rows["addgn"].facts.parameters / matched.rows["adagn"].facts.parameters - 1)
    assert after < 0.05 < before
    assert {t.identity for t in matched.trainings[::2]} == {t.identity for t in plain.trainings[::2]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (row(overrides=["network/norm=addgn", "optimizer.lr=0.1"]), ("addgn", "optimizer.lr", "0.1")),
        (row(overrides=["network.widht=9"]), ("addgn", "network.widht", "'width'")),
        (row(overrides=[]), ("adagn", "addgn", "the same run")),
        (row(change=["network.norm", "schedule"]), ("addgn", "schedule", "does not change it")),
        (row(change=["network.nrom"]), ("addgn", "network.nrom")),
        (row(draw=["stpes=3"], change=["network.norm", "draw.stpes"]), ("addgn", "stpes", "steps")),
        (row(draw=["out=here"], change=["network.norm", "draw.out"]), ("addgn", "out=here")),
        ({"baseline": "adagm"}, ("adagm", "adagn")),
        (cited(overrides=["seed=1"]), ("theirs", "cited", "overrides")),
        (cited(published={}), ("theirs", "cited", "published")),
        (cited(published={"fdd": CITED["published"]["fd_digits"]}), ("theirs", "fdd", "fd_digits, is_digits")),
        (cited(cited="yes"), ("theirs", "yes", "true")),
        ({**cited(), "baseline": "theirs"}, ("theirs", "baseline", "cited")),
        (
            {"rows": {**cited()["rows"], "addgn": {**STUDY["rows"]["addgn"], "against": "theirs"}}},
            ("addgn", "theirs", "cited"),
        ),
        ({"seeds": [0, 0]}, ("seeds", "twice")),
        (row(published={"fd_digits": {"value": 3}}), ("addgn", "source")),
        ({"rows": {**STUDY["rows"], "again": {"change": ["draw.steps"], "draw": ["steps=2"]}}}, ("few_steps", "again")),
    ],
    ids=lambda value: None if isinstance(value, dict) else " ".join(value),
)
def test_mistakes_in_the_file_are_one_line_that_names_the_row(changes, words, tmp_path, capsys):
    text = said(capsys, written(tmp_path, **changes), "plan")
    assert text.startswith("error:")
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", "plan"], "no study 'nowhere'"),
        (["FILE", "lunch"], "did you mean 'launch'"),
        (["FILE"], "say what to do"),
        (["FILE", "plan", "--wait"], "plan has no --wait"),
        (["FILE", "plan", "jobs=2"], "belongs to launch, retry"),
        (["FILE", "plan", "width"], "key=value"),
        (["FILE", "table", "format=word"], "markdown"),
        (["FILE", "launch", "jobs=0"], "at least 1"),
        (["FILE", "plan", "match=size"], "params or flops"),
        (["FILE", "plan", "seed=3"], "seeds stand in its file"),
        (["FILE", "plan", "job=2"], "did you mean jobs"),
        (["FILE", "table", "out=table.doc"], "end it with"),
        (["FILE", "plan", "rate=fast"], "above 0"),
        (["FILE", "launch", "launcher.nodes=2"], "launcher=slurm"),
    ],
    ids=str,
)
def test_mistakes_on_the_command_line_are_one_line(words, says, file, run_root, capsys):
    words = [str(file) if word == "FILE" else word for word in words]
    text = said(capsys, *words, *([run_root] if len(words) > 2 else []))
    assert text.startswith("error:"), text
    assert says in text, text
    assert len(text.splitlines()) == 1, text


@pytest.mark.parametrize(
    ("path", "changes", "name"),
    [
        ("tiny/study.yaml", {}, "tiny"),
        ("tiny/ablation.yaml", {}, "ablation"),
        ("tiny/study.yaml", {"name": "given"}, "given"),
        ("tiny/other.yaml", {"name": "given"}, "given"),
    ],
)
@pytest.mark.parametrize("here", [False, True], ids=["from elsewhere", "from its folder"])
def test_a_study_has_a_name_wherever_it_is_called_from(path, changes, name, here, tmp_path, monkeypatch):
    file = written(tmp_path, **changes).rename(tmp_path / path)
    monkeypatch.chdir(file.parent if here else tmp_path)
    plan = plan_study(load_study(understood([file.name if here else path, "plan"]).file), [], None, "network.width")
    assert plan.root == Path("runs") / name
    assert {training.parent.parent for training in plan.trainings} == {plan.root}
    assert all(f"run.name={name}/" in " ".join(training.overrides) for training in plan.trainings)


@pytest.mark.parametrize("name", ["", None, "a//b", "/a/b", "../up", ".hidden", "with space"])
def test_a_name_that_is_no_folders_is_refused(name, tmp_path, capsys):
    text = said(capsys, written(tmp_path, name=name), "plan")
    assert text.startswith("error:")
    assert "the study's name" in text
    assert len(text.splitlines()) == 1


def test_a_study_in_the_current_directory_is_run_and_evaluated(tmp_path, monkeypatch, capsys):
    """By the commands that its plan gives, with the default logger: results are where status and table look for them."""
    overrides = [word for word in STUDY["overrides"] if word != "logger=none"]
    file = written(tmp_path, seeds=[0], rows={"adagn": {}}, overrides=overrides).rename(tmp_path / "mine.yaml")
    monkeypatch.chdir(tmp_path)
    for name, value in {"WANDB_MODE": "offline", "DIFFLAB_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    plan = plan_study(load_study(file.name), [], None, "network.width")
    (training,), (cell,) = plan.trainings, plan.cells
    with contextlib.redirect_stdout(io.StringIO()):
        train(composed("train", *training.overrides))
        evaluate(composed("evaluate", *plan.evaluation_command(cell)))
    assert [path.name for path in (tmp_path / "runs" / "mine" / "adagn").iterdir()] == [
        f"seed{training.seed}-{training.identity}"
    ]
    capsys.readouterr()  # warnings of so few images
    assert json.loads(said(capsys, file.name, "status", "--json"))["totals"] == {"done": 1}


def test_data_that_are_not_here_leave_a_plan_without_runs(tmp_path, capsys):
    file = written(tmp_path, experiment="adm/table3/adagn", overrides=[], rows={"adagn": {}})
    plan = plan_study(load_study(file), [], None, "network.width")
    assert plan.lacking
    assert plan.rows["adagn"].facts.parameters == pytest.approx(120e6, rel=0.5)
    assert "not at hand" in said(capsys, file, "status")


def test_words_are_options_of_the_study_or_overrides_of_the_runs(file):
    request = understood([str(file), "launch", "jobs=2", "trainer.accelerator=gpu", "--wait"])
    assert request.options == {"jobs": "2"}
    assert request.overrides == ("trainer.accelerator=gpu",)


def test_a_margin_in_per_cent_is_for_ratios_and_said_before_anything_runs(run_root, tmp_path):
    def planned_with(**margins: str) -> Plan:
        changes = {"evaluation": {**STUDY["evaluation"], "metrics": ["fd_digits", "is_digits"]}, "margins": margins}
        return plan_study(load_study(written(tmp_path, **changes)), [run_root], None, "network.width")

    assert str(planned_with(fd_digits="5 %").study.margins["fd_digits"]) == "5 %"
    with pytest.raises(StudyError, match=r"margins\.is_digits = 5 %: is_digits is not compared as a ratio"):
        planned_with(is_digits="5 %")
