import base64
import csv
import hashlib
import io
import json
import re
from datetime import date
from html.parser import HTMLParser

import pytest
from report_study import NASTY, evidence, states, study

from difflab.studies.report import Csv, ablation_table, write_report
from difflab.studies.statistics import verdicts

MISSING = (("cosine", 2), ("wide", 1), ("wide", 2))


class Page(HTMLParser):
    """Cells with a number, attributes that load something, and the text."""

    def __init__(self, source: str):
        super().__init__()
        self.cells: dict[tuple[str, str, str], str] = {}
        self.loads: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self._silent = False
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self._silent = tag in ("script", "style")
        self.loads += [
            (tag, v)
            for k, v in attrs
            if k in ("src", "href", "srcset", "action") and not v.startswith(("#", "data:image/"))
        ]
        if "data-row" in given and "data-value" in given:
            self.cells[given["data-row"], given["data-metric"], given["data-field"]] = given["data-value"]

    def handle_endtag(self, tag):
        self._silent = False
        self.text += " " if tag in ("td", "th", "div", "dd", "dt", "li", "span") else ""

    def handle_data(self, data):
        self.text += "" if self._silent else data


def written(root, missing=(), **arguments):
    asked = study()
    found = evidence(root, asked, missing, **arguments)
    path = write_report(found, states(root, asked, missing), root / "out" / "report.html", date(2026, 11, 21))
    return found, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    found, source = written(tmp_path_factory.mktemp("whole"))
    return found, source, Page(source)


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    found, source = written(tmp_path_factory.mktemp("part"), MISSING)
    return found, source, Page(source)


@pytest.mark.parametrize("kind", ["whole", "part"])
def test_numbers_are_those_of_the_csv(kind, request):
    found, _, page = request.getfixturevalue(kind)
    table = ablation_table(found, verdicts(found, "fid"), allow_missing=True)
    lines = {(line["row"], line["metric"]): line for line in csv.DictReader(io.StringIO(Csv().render(table)))}
    assert len(lines) == 24
    for (row, metric, field), value in page.cells.items():
        assert lines[row, metric][field] == value, (row, metric, field)
    for row in found.arms:  # and none of the deciding ones is left out
        for metric in found.study.evaluation.metrics:
            assert page.cells[row, metric, "mean"] == lines[row, metric]["mean"]
        if row != "base":
            assert page.cells[row, "fid", "delta"] == lines[row, "fid"]["delta"]


def test_header_answers_each_row(whole):
    found, _, page = whole
    text = " ".join(page.text.split())
    assert found.study.question in text
    assert "2026-11-21" in text
    assert "4ddb0d1f8a" in text
    assert "arXiv 2105.05233, table 3" in text
    for name, verdict in verdicts(found, "fid").items():
        assert f"{found.arms[name].row.label}" in text
        amount = verdict.sentence.partition(": ")[2].split(",")[0].replace("-", "−")
        assert amount in text, name
    assert "Incomplete" not in text


def test_the_page_is_small_and_says_what_was_trained(whole):
    _, source, page = whole
    assert (
        len(source.encode()) < 600_000
    )  # without the pictures of a real study, whose limit leaves it below two megabytes
    text = " ".join(page.text.split())
    setup = text[text.index("What was trained, how") : text.index("Differences Each row")]
    for words in (
        "Data not known yet",
        "learning rate 0.001",
        "learning rate 0.002",
        "1,000 steps of 128 images: 128 k images",
        "EMA warm_up (half-life 17.7 k images)",
        "Sampling",
        "DDIM, eta 0, 50 steps",
        "CPU",
        "4ddb0d1f8a",
    ):
        assert words in setup, words
    assert setup.count("4ddb0d1f8a") == 1  # what all rows share stands once
    assert "FID (1k) ↓" in text
    assert 'title="fid"' in source
    assert "p (paired t, Holm)" in text


def test_an_installed_package_without_a_commit_is_told_by_its_version(tmp_path):
    asked = study(seeds=(0, 1), rows={"base": {"label": "base"}, "b": {"change": ["network.width"]}})
    found = evidence(tmp_path, asked, grids=False)
    for file in tmp_path.rglob("provenance.json"):
        starts = [start | {"git": None} for start in json.loads(file.read_text(encoding="utf-8"))]
        file.write_text(json.dumps(starts), encoding="utf-8")
    text = Page(write_report(found, states(tmp_path, asked), tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "version 0.1.0" in text
    assert "unknown" not in text.partition("Protocol")[0].replace("power is unknown", "")


def test_labels_are_text_and_not_code(whole):
    _, source, page = whole
    assert NASTY in page.text
    assert "<script>alert" not in source
    assert page.tags.count("script") == source.count("<script")  # no other one hides in an attribute or in JSON
    assert "<small>" not in source


def test_nothing_is_loaded_and_no_other_script_may_run(whole):
    _, source, page = whole
    assert page.loads == []
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', source)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe-inline" not in policy[1].split("script-src")[1].split(";")[0]
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy[1].replace("&#43;", "+")


def test_what_is_missing_is_said_at_the_top(part):
    _, _, page = part
    text = " ".join(page.text.split())
    assert "Incomplete. 3 of 18 results are missing" in text
    assert "Cosine schedule: seed 2 failed" in text
    assert text.index("Incomplete") < text.index("decided by")
    assert "RuntimeError: <out of memory>" in text
    assert "step 500 of 1,000" in text
    assert "1 of 3" in text


def test_confounds_changes_and_costs_are_told(whole):
    _, _, page = whole
    text = " ".join(page.text.split())
    assert "Confounded: network.norm, optimizer.lr change together" in text
    assert "schedule Linear Cosine declared" in text
    assert "draw.steps absent 10 declared" in text
    assert "interrupted → complete" in text
    assert "4 of 12 trainings ran code with changes that were not committed" in text
    assert "variance ratio" in text
    assert "3 seeds show a difference of" in text
    assert "training loss" in text


def test_a_study_without_any_result_has_a_page(tmp_path):
    asked = study()
    everything = tuple((row, seed) for row in asked.rows for seed in asked.seeds)
    _, source = written(tmp_path, everything, grids=False)
    text = " ".join(Page(source).text.split())
    assert "18 of 18 results are missing" in text
    assert "Nothing was measured yet." in text
    assert "No row shares a finished seed" in text
    assert 'id="samples"' not in source


def test_a_study_whose_runs_have_not_begun_has_a_page(tmp_path):
    asked = study(rows={"base": {"label": "base"}, "b": {"change": ["network.width"]}})
    everything = tuple((row, seed) for row in asked.rows for seed in asked.seeds)
    found, cells = evidence(tmp_path / "a", asked, everything), states(tmp_path / "elsewhere", asked, everything)
    text = Page(write_report(found, cells, tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "Nothing was logged yet." in text
