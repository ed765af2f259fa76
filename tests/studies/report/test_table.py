"""The ablation table: numbers done by hand, in every form.

Student's t with 2 degrees of freedom has closed forms: t_.975 = 4.302653, p = 1 - |t| / sqrt(t^2 + 2).
    base  10, 11, 12       mean 11        sd 1        half-width 4.302653 / sqrt 3 = 2.484
    new    8,  9, 10.3     mean  9.1      sd 1.1533   half-width 2.865;  logarithms of ratios -.22314, -.20067, -.15275: mean -.19219,
                                          se .020775, half-width .08939: -17.5 % [-24.5, -9.8]; t = -9.251, p = .011484, of two rows .022968
    wide  10.5, 10.9, 12.6 mean 11.3333   sd 1.1150   half-width 2.770;  .048790, -.0091325, .048790: mean .029483, se .019308,
                                          half-width .083074: +3.0 % [-5.2, +11.9]; t = 1.527, p = .2664
Of a metric that is no ratio (is), differences: new -2, -2, -1.7: mean -1.9, se .1, half-width .430, t = -19, p = .002759, of two .005518
"""

import csv
import gc
import io
import math
import re
import shutil
import statistics
import subprocess
from html.parser import HTMLParser

import pytest
from scipy.stats import ttest_rel

from difflab.formatting import full
from difflab.studies import StudyError, read_study
from difflab.studies.evidence import gather
from difflab.studies.report import Csv, Html, Latex, Markdown, Renderer, ablation_table, protocol_line
from difflab.studies.report.table_markup import renderers
from difflab.studies.report.table_text import Text
from difflab.studies.statistics import verdicts
from fabricated import PROTOCOL, finish, measured, planned, study

VALUES = {"base": (10.0, 11.0, 12.0), "new": (8.0, 9.0, 10.3), "wide": (10.5, 10.9, 12.6)}


def published(value, confidence="paper", **stated):
    return {"fid": {"value": value, "source": "arXiv 2105.05233, table 3", "confidence": confidence, **stated}}


ROWS = {
    "base": {"label": "AdaGN", "published": published(15.33)},
    "new": {"label": "add_GN & 50%", "published": published(13.21, "secondary", samples=50000)},
    "wide": {"label": "wide"},
}


def table(root, rows=ROWS, values=VALUES, allow_missing=False, metrics=("fid",), fields=None, **more):
    plan = planned(root, study(rows, metrics=metrics, **more))
    for row, of_seeds in values.items():
        for seed, value in enumerate(of_seeds):
            found = [measured(metric, value, seed, 0.1, **(fields or {}).get(row, {})) for metric in metrics]
            finish(plan, row, seed, found)
    evidence = gather(plan)
    return ablation_table(evidence, verdicts(evidence, metrics[0]), allow_missing)


MARKDOWN = """\
| row | seeds | FID (10k) ↓ | Δ | p (paired t, Holm) | verdict | parameters | FLOPs / image | published | published Δ |
| :-- | --: | --: | --: | --: | :-- | --: | --: | --: | --: |
| AdaGN | 3 | 11.0 ± 2.5 | – | – | baseline | 1.90 M | 2.40 G | 15.33 | – |
| add\\_GN &amp; 50% | 3 | **9.1 ± 2.9** | **-17.5 % \\[-24.5, -9.8\\]** | 0.023 | better, also on average | 1.90 M | 2.40 G \
| 13.21 ᵃᶜ | -2.12 |
| wide | 3 | 11.3 ± 2.8 | +3.0 % \\[-5.2, +11.9\\] † | 0.27 | inconclusive | 1.90 M | 2.40 G | – | – |

- † no difference shown at a typical seed, at 0.05 after Holm's correction
- ᵃ published number, read in a source that quotes it
- ᶜ published under another protocol
- ±, \\[ \\]: 95 % interval over seeds, of Δ over the seeds that both rows have (Student's t); bold: significantly better at 0.05 after \
Holm's correction over 2 rows. FLOPs: forward and backward.
- Δ: to AdaGN, a ratio of geometric means at equal seeds.
- Verdicts: by the rule of the typical seed (rule 2), whichever version measured. Better and worse are said of the median of the paired \
difference, and of its mean only where it says so; docs/statistics.md has the rule and its error rates.
- Measured: fid of 10,000 samples, features of inception, reference r1 (50,000 images), sampler DDIM eta 0, steps 25, guidance clip, \
track ema, fingerprint {fingerprint} (sampling seeds apart).
- Seeds: 0, 1, 2.
- Keys of the metrics: FID (10k): fid.
- Published: arXiv 2105.05233, table 3.
- Published under another protocol: add\\_GN &amp; 50%: samples 50000 (here 10000).
"""

LATEX = r"""\begin{tabular}{lrrrrlrrrr}
\toprule
row & seeds & FID (10k) $\downarrow$ & $\Delta$ & p (paired t, Holm) & verdict & """ + (
    r"""parameters & FLOPs / image & published & published $\Delta$ \\
\midrule
AdaGN & $3$ & $11.0 \pm 2.5$ & -- & -- & baseline & 1.90 M & 2.40 G & $15.33$ & -- \\
add\_GN \& 50\% & $3$ & $\mathbf{9.1 \pm 2.9}$ & \textbf{$-$17.5 \% [$-$24.5, $-$9.8]} & $0.023$ & better, also on average & 1.90 M """
    r"""& 2.40 G & $13.21$\rlap{$^{\mathrm{a}\mathrm{c}}$} & $-2.12$ \\
wide & $3$ & $11.3 \pm 2.8$ & +3.0 \% [$-$5.2, +11.9]\rlap{$^{\dagger}$} & $0.27$ & inconclusive & 1.90 M & 2.40 G & -- & -- \\
\bottomrule
\end{tabular}
"""
)


def test_markdown(tmp_path):
    found = table(tmp_path)
    base = found.evidence.arms["base"].replicates[0].measurements["fid"].protocol
    assert Markdown().render(found) == MARKDOWN.format(fingerprint=base.without("seeds").fingerprint)


def test_text_has_columns_below_each_other(tmp_path):
    """For a terminal: nothing is escaped, and marks stand behind their numbers."""
    head, base, new, *_ = Text().render(table(tmp_path)).splitlines()
    assert head.split("  ")[0] == "row"
    assert "11.0 ± 2.5" in base
    assert "-17.5 % [-24.5, -9.8]" in new
    assert new.startswith("add_GN & 50%")
    assert head.index("Δ") == new.index("-17.5 %")


def test_a_form_of_a_table_joins_by_being_written(tmp_path):
    """A form says its name and its suffix itself; no list has to know it."""

    class Names(Renderer):
        name, suffix = "names", ".names"

        def render(self, table):
            return " ".join(table.lines)

    try:
        assert renderers()["names"]().render(table(tmp_path)) == "base new wide"
    finally:
        del Names
        gc.collect()


def test_latex(tmp_path):
    assert LATEX in Latex().render(table(tmp_path))


def lines(found):
    return list(csv.DictReader(io.StringIO(Csv().render(found))))


def test_csv_has_every_number_in_full(tmp_path):
    _, new, wide = lines(table(tmp_path))
    t = 4.302652729911275
    assert float(new["mean"]) == pytest.approx(27.3 / 3, rel=1e-15)
    theirs = ttest_rel([math.log(v) for v in VALUES["new"]], [math.log(v) for v in VALUES["base"]])
    assert float(new["delta"]) == pytest.approx(100 * (8 * 9 * 10.3 / (10 * 11 * 12)) ** (1 / 3) - 100, rel=1e-12)
    assert float(new["delta_high"]) == pytest.approx(100 * math.expm1(theirs.confidence_interval().high), rel=1e-9)
    assert float(new["p"]) == pytest.approx(theirs.pvalue, rel=1e-9)
    assert float(new["p_holm"]) == pytest.approx(2 * theirs.pvalue, rel=1e-9)
    assert (new["delta_unit"], new["spread_unit"], new["rule"]) == ("%", "CV %", "the typical seed (rule 2)")
    assert (new["better_seeds"], new["worse_seeds"], new["failed_seeds"], new["on_average"]) == ("3", "0", "", "1")
    assert (new["worst_seed"], float(new["worst_delta"])) == ("2", pytest.approx(100 * 10.3 / 12 - 100))
    assert 0.04 > float(new["p_average_holm"]) >= float(new["p_holm"])
    (_, of_is, _) = lines(table(tmp_path / "is", metrics=("is",)))
    assert float(of_is["delta"]) == pytest.approx(-1.9, rel=1e-14)
    assert float(of_is["delta_high"]) == pytest.approx(-1.9 + 0.1 * t, rel=1e-9)
    assert float(of_is["p"]) == pytest.approx(1 - 19 / math.sqrt(363), rel=1e-9)
    assert (of_is["delta_unit"], of_is["spread_unit"]) == ("", "sd")
    assert float(wide["low"]) == pytest.approx(34 / 3 - t * math.sqrt(1.2433333333333334 / 3), rel=1e-9)
    assert (new["verdict"], wide["verdict"], new["against"], new["seeds"]) == (
        "better",
        "inconclusive",
        "base",
        "0 1 2",
    )
    assert (new["published"], new["published_delta"], new["published_confidence"]) == ("13.21", "-2.12", "secondary")
    assert (new["samples"], new["parameters"], new["images"]) == ("10000", "1900000", "128000")


class Cells(HTMLParser):
    """The attributes of all cells with a number; the text of the headings of rows."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.labels, self._in_label = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "data-value" in attributes:
            self.cells.append(attributes)
        self._in_label = tag == "th" and attributes.get("scope") == "row"

    def handle_data(self, data):
        if self._in_label:
            self.labels.append(data)
            self._in_label = False


def test_an_interval_ends_where_the_metric_does_and_a_differences_where_two_of_them_do(tmp_path):
    values = {"base": (0.01, 0.2, 0.5), "new": (0.9, 0.7, 0.99)}
    found = table(tmp_path, {"base": {}, "new": {}}, values, metrics=("precision",))
    base, new = lines(found)
    reach = 4.302652729911275 / math.sqrt(3) * statistics.stdev(values["base"])
    assert (float(base["low"]), float(new["high"])) == (0, 1)
    assert float(base["high"]) == pytest.approx(0.71 / 3 + reach)
    assert float(new["delta_high"]) == 1  # two shares differ by 1 at most; Student's interval alone would not know


def test_numbers_of_the_html_are_those_of_the_csv(tmp_path):
    rows = {**ROWS, "wide": {"label": "<script>alert('&')</script>"}}
    found = table(tmp_path, rows=rows, metrics=("fid", "is"))
    text = Html().render(found)
    of_csv = {(line["row"], line["metric"]): line for line in lines(found)}
    page = Cells(text)
    assert len(page.cells) == 3 * 5 + 2 * 2 + 2 + 1
    for cell in page.cells:
        assert of_csv[cell["data-row"], cell["data-metric"]][cell["data-field"]] == cell["data-value"]
    assert page.labels == ["AdaGN", "add_GN & 50%", "<script>alert('&')</script>"]
    assert "<script" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles_with_booktabs_alone(tmp_path):
    label = "".join(map(chr, range(32, 127))) + " ± × − – → ↓ ↑ ≤ ≥ α β γ ε η λ μ ρ σ Δ Σ ²"
    rows = {
        "base": ROWS["base"],
        "new": {"label": label, "published": published(3.0, "unverified", steps=7)},
        "wide": {},
    }
    found = table(tmp_path / "runs", rows, {**VALUES, "wide": (3.0,)}, allow_missing=True, margins={"fid": "100 %"})
    text = Latex().render(found)
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{text}\end{{document}}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 1000


@pytest.mark.parametrize("label", ["a_b%&#${}~^\\<>|", "β → 2×"])
def test_latex_leaves_no_sign_unescaped(tmp_path, label):
    text = Latex().render(table(tmp_path, {**ROWS, "wide": {"label": label}}))
    (line,) = [line for line in text.splitlines() if "inconclusive" in line]
    first = line.split(" & ")[0]
    assert not re.search(r"(?<!\\)[%#_&]", re.sub(r"\$[^$]*\$", "", first))
    assert first.isascii()


def test_a_row_without_all_seeds_is_refused_by_name(tmp_path):
    with pytest.raises(StudyError, match=r"lacks results of new \(seed 2\); wide \(seed 0, 1, 2\).*missing=allow"):
        table(tmp_path, values={"base": VALUES["base"], "new": VALUES["new"][:2]})


def test_rows_that_lack_seeds_say_how_many_they_have(tmp_path):
    values = {"base": VALUES["base"], "new": VALUES["new"][:1]}
    found = table(tmp_path, values=values, allow_missing=True)
    text = Markdown().render(found)
    # 1.96 would be the normal quantile; of 100 replicates it is Student's 1.984
    assert "| 1 of 3 | 8.00 ± 0.20 § | -20.00 % ¶ | – | interim |" in text
    assert "| wide | 0 of 3 | – | – | – | interim |" in text
    assert "Missing seeds: add\\_GN &amp; 50%: 1, 2; wide: 0, 1, 2." in text
    of_new, of_wide = lines(found)[1:]
    assert (of_new["n"], of_new["planned"], of_new["interval_of"]) == ("1", "3", "sampling")
    assert (of_wide["mean"], of_wide["delta"], of_wide["fingerprint"]) == ("", "", "")


def test_equivalence_is_marked_with_its_margin(tmp_path):
    text = Markdown().render(table(tmp_path, values={**VALUES, "new": (10.01, 11.02, 12.0)}, margins={"fid": "5 %"}))
    assert "+0.09 % \\[-0.13, +0.32\\] ‡" in text
    assert "‡ equivalent: shown to lie within ± 5 % at a typical seed" in text


def test_a_significant_loss_is_neither_bold_nor_marked(tmp_path):
    text = Markdown().render(table(tmp_path, values={**VALUES, "new": (12.0, 13.0, 13.7)}))
    assert "| +17.4 % \\[+10.2, +25.1\\] | 0.0" in text
    assert "| worse, also on average |" in text
    assert "**" not in text


def test_higher_is_better_where_it_is(tmp_path):
    text = Markdown().render(table(tmp_path, metrics=("is", "fid")))
    assert "IS (10k) ↑ | Δ | p (paired t, Holm) | verdict | FID (10k) ↓" in text
    assert "| -1.90 ± 0.43 | 0.0055 | worse, also on average |" in text


def test_a_row_that_is_compared_with_another_row_says_so(tmp_path):
    rows = {**ROWS, "wide": {"label": "wide", "against": "new", "published": published(14.0)}}
    text = Markdown().render(table(tmp_path, rows))
    assert "- Δ: to AdaGN, a ratio of geometric means at equal seeds; that of wide is to add\\_GN &amp; 50%." in text
    assert "| +25 % " in text  # 10.5 / 8, 10.9 / 9, 12.6 / 10.3
    assert "| 14 | +0.79 |" in text


def test_the_protocol_line_names_rows_that_draw_otherwise(tmp_path):
    more = {"sampler": {**PROTOCOL["sampler"], "grid": {"steps": 50}}}
    rows = {**ROWS, "wide": {"change": ["draw.steps"]}}
    found = table(tmp_path, rows, fields={"wide": more})
    assert "steps 25 (wide: 50), guidance clip, track ema" in protocol_line(found.evidence)


def test_a_seed_without_a_number_is_named_and_counts(tmp_path):
    found = table(tmp_path, values={**VALUES, "new": (8.0, math.nan, 9.0)})
    text = Markdown().render(found)
    assert "| 3 | 8.5 ± 6.4 ᵉ | " in text
    assert "| 1.0 | inconclusive |" in text
    assert (
        "- Failed: add\\_GN &amp; 50%: seed 1 (nan was written in its place)." in text
        or "seed 1 (the metric gave nan)" in text
    )
    (new,) = [line for line in lines(found) if line["row"] == "new"]
    assert (new["failed_seeds"], new["better_seeds"], new["worse_seeds"]) == ("1", "2", "1")


def test_replicates_that_agree_to_the_last_bit(tmp_path):
    text = Markdown().render(table(tmp_path, values={**VALUES, "base": (10.0,) * 3, "new": (9.0,) * 3}))
    assert "| 10.00 ± 0 |" in text
    assert "nan" not in text


CITED_ROWS = {
    "base": ROWS["base"],
    "iddpm": {
        "cited": True,
        "label": "Improved DDPM",
        "published": {
            "fid": {"value": 12.3, "samples": 50000, "source": "arXiv 2105.05233, table 5", "confidence": "paper"}
        },
    },
    "new": ROWS["new"],
}
"""A cited row between two that run."""


def with_cited_row(root):
    node = {
        "question": "Does it help?",
        "baseline": "base",
        "seeds": [0, 1, 2],
        "experiment": "x",
        "evaluation": {"decides": "fid", "metrics": ["fid"]},
        "rows": {
            name: row | ({"change": ["network.norm"]} if name == "new" else {}) for name, row in CITED_ROWS.items()
        },
    }
    plan = planned(root, read_study(node, "invented", "study.yaml"))
    for row in ("base", "new"):
        for seed, value in enumerate(VALUES[row]):
            finish(plan, row, seed, [measured("fid", value, seed, 0.1)])
    evidence = gather(plan)
    return ablation_table(evidence, verdicts(evidence, "fid"))


def test_a_cited_row_stands_where_the_study_has_it_and_is_part_of_no_test(tmp_path):
    found = with_cited_row(tmp_path)
    text = Markdown().render(found)
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:5]] == [
        "AdaGN",
        "Improved DDPM ᵈ",
        "add\\_GN &amp; 50%",
    ]
    assert "| Improved DDPM ᵈ | – | 12.3 ᶜᵈ | – | – | cited |" in text
    assert "cited: published elsewhere" in text
    assert (
        "Cited from arXiv 2105.05233, table 5: Improved DDPM (samples 50000, extractor inception, samples 50000 (here 10000))"
        in text
    )
    assert "after Holm's correction over 1 row." in text
    assert list(found.lines) == ["base", "new"]


def test_a_cited_number_is_no_mean_of_the_csv(tmp_path):
    base, cited, new = csv.DictReader(io.StringIO(Csv().render(with_cited_row(tmp_path))))
    assert (cited["row"], cited["verdict"], cited["n"], cited["planned"]) == ("iddpm", "cited", "0", "0")
    assert (cited["mean"], cited["delta"], cited["p_holm"]) == ("", "", "")
    assert (cited["published"], cited["published_source"]) == ("12.3", "arXiv 2105.05233, table 5")
    assert (base["mean"], new["verdict"]) == ("11.0", "better")
    assert "12.3" not in re.findall(r'data-value="([^"]*)"', Html().render(with_cited_row(tmp_path / "again")))


def test_a_text_is_no_formula_to_a_spreadsheet(tmp_path):
    labels = ("=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-x", "\tx", "plain", "a=1")
    written = dict(zip(labels, map(full, labels), strict=True))
    assert [written[label] for label in labels[:5]] == [f"'{label}" for label in labels[:5]]
    assert (written["plain"], written["a=1"]) == ("plain", "a=1")
    assert [full(value) for value in (-0.5, -3, 1e-9)] == ["-0.5", "-3", "1e-09"]
    plan = planned(tmp_path, study({"base": {"label": "=HYPERLINK(1)"}, "new": {}}))
    for row in ("base", "new"):
        for seed, value in enumerate((-2.0, -3.0, -2.5)):
            finish(plan, row, seed, [measured("fid", 3 + value, seed, 0.1)])
    evidence = gather(plan)
    base, _ = csv.DictReader(io.StringIO(Csv().render(ablation_table(evidence, verdicts(evidence, "fid")))))
    assert base["label"] == "'=HYPERLINK(1)"
    assert float(base["mean"]) == 0.5
