"""What is called slower is slower, and chance is called so as rarely as is said."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.check import ALPHA, Line, compared, judged, report
from benchmarks.rank_sum import rank_sum
from benchmarks.record import Measurement, Record
from benchmarks.tarone_holm import tarone_holm
from scipy.stats import mannwhitneyu

ROOT = Path(__file__).parents[2]
LINES, ROUNDS = 40, 7


def record(*measurements, machine="EPYC", torch="2.14"):
    return Record("2026-11-22", "benchmarks", {"processor": machine}, {"torch": torch}, (0.1, 0.2), measurements)


def training(values, baseline=None, case="small", facts=None):
    return Measurement("training", case, "images/s", True, values, baseline, facts or {})


def noisy(noise, chance, lines):
    draw = {
        "normal": lambda size: 0.03 * chance.standard_normal(size),
        "skewed": lambda size: 0.05 * chance.exponential(size=size),
        "disturbed": lambda size: 0.01 * chance.standard_normal(size) + 0.5 * (chance.random(size) < 0.1),
    }[noise]
    return np.exp(draw((lines, 2, ROUNDS)))


def lines_of(values):
    return [Line(f"line {i}", False, list(old), list(new)) for i, (old, new) in enumerate(values)]


def test_rank_sum_counts_all_choices():
    chance = np.random.default_rng(0)
    for m, n, kinds in ((3, 4, 3), (5, 2, 100), (4, 4, 5)):
        a, b = chance.integers(0, kinds, m).astype(float), chance.integers(0, kinds, n).astype(float)
        ranks = {value: np.mean(np.flatnonzero(np.sort([*a, *b]) == value)) for value in [*a, *b]}
        pooled = np.array([ranks[value] for value in [*a, *b]])
        sums = np.array([pooled[list(chosen)].sum() for chosen in itertools.combinations(range(m + n), n)])
        found = rank_sum(a.tolist(), b.tolist())
        assert found.p_more == pytest.approx(np.mean(sums >= pooled[m:].sum() - 1e-9))
        assert found.p_less == pytest.approx(np.mean(sums <= pooled[m:].sum() + 1e-9))
        assert found.attainable[0] == pytest.approx(np.mean(sums >= sums.max() - 1e-9))
        assert found.attainable[1] == pytest.approx(np.mean(sums <= sums.min() + 1e-9))


def test_rank_sum_is_scipys_without_ties():
    chance = np.random.default_rng(1)
    a, b = chance.random(9), chance.random(6) + 0.2
    found = rank_sum(a.tolist(), b.tolist())
    assert found.p_more == pytest.approx(mannwhitneyu(b, a, alternative="greater", method="exact").pvalue)
    assert found.p_less == pytest.approx(mannwhitneyu(b, a, alternative="less", method="exact").pvalue)
    assert rank_sum(a.tolist(), (a + 3).tolist()).shift == pytest.approx(3)


def test_holm_with_tests_that_cannot_be_rejected():
    always = [0.0] * 4
    assert tarone_holm([0.01, 0.04, 0.03, 0.005], always, 0.05) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # three that can never be below 0.05 cost nothing
    assert tarone_holm([0.02, 0.5, 0.6, 0.7], [0.001, 0.5, 0.5, 0.5], 0.05) == [0.02, None, None, None]
    assert tarone_holm([0.5, 0.6], [0.5, 0.5], 0.05) == [None, None]
    assert tarone_holm([], [], 0.05) == []


@pytest.mark.parametrize("noise", ["normal", "skewed", "disturbed"])
def test_false_alarms_are_as_rare_as_said(noise):
    chance, comparisons = np.random.default_rng(2), 200
    alarms = sum(
        any(v.is_called(True, ALPHA, 0) for v in judged(lines_of(noisy(noise, chance, LINES))))
        for _ in range(comparisons)
    )
    # at most alpha of them, give or take 2.6 standard errors; and the test is not just asleep
    assert 1 <= alarms <= comparisons * ALPHA + 2.6 * np.sqrt(comparisons * ALPHA)


def test_ten_percent_are_found_among_three_percent_of_noise():
    chance, found, others = np.random.default_rng(3), 0, 0
    for _ in range(100):
        values = noisy("normal", chance, LINES)
        values[5, 1] *= 1.1
        called = [v.line.name for v in judged(lines_of(values)) if v.is_called(True, ALPHA, 0.03)]
        found += "line 5" in called
        others += called != ["line 5"] * ("line 5" in called)
    assert found >= 80
    assert others <= 10


def test_a_change_that_does_not_matter_is_not_called_however_sure_it_is():
    values = np.ones((1, 2, ROUNDS)) * np.linspace(1, 1.001, ROUNDS)
    values[0, 1] *= 1.02
    (verdict,) = judged(lines_of(values))
    assert verdict.slower == pytest.approx(1 / 3432)
    assert verdict.change == pytest.approx(0.02, abs=1e-3)
    assert not verdict.is_called(True, ALPHA, 0.03)
    assert verdict.is_called(True, ALPHA, 0.01)
    assert not verdict.is_called(False, ALPHA, 0.01)


def test_ratios_forgive_a_slower_machine_and_absolute_values_do_not():
    chance = np.random.default_rng(4)
    ours, theirs, alone = (list(10 * np.exp(0.01 * chance.standard_normal(ROUNDS))) for _ in range(3))
    old = record(training({"difflab": ours, "peer": theirs}, "peer"), training({"difflab": alone}, case="alone"))
    halved = {"difflab": [v / 2 for v in ours], "peer": [v / 2 for v in theirs]}
    new = record(
        training(halved, "peer"), training({"difflab": [v / 2 for v in alone]}, case="alone"), machine="another"
    )
    said, slower = report(old, new, ALPHA, 0.03)
    text = "\n".join(said)
    assert slower
    assert "! machine: processor: EPYC -> another" in text
    assert "the baselines themselves: +100.0%" in text
    assert "-50.0%  training: alone: difflab, images/s" in text
    assert "difflab / peer" not in text
    one = record(training(halved, "peer"), machine="another")
    assert not report(record(training({"difflab": ours, "peer": theirs}, "peer")), one, ALPHA, 0.03)[1]


def test_a_baseline_of_ours_is_not_what_hides_our_change():
    values = [10 + i / 100 for i in range(ROUNDS)]
    old = record(training({"difflab": values, "peer": values}, "difflab"))
    new = record(training({"difflab": [v / 2 for v in values], "peer": values}, "difflab"))
    said, slower = report(old, new, ALPHA, 0.03)
    assert slower
    assert "-50.0%  training: small: difflab / peer" in "\n".join(said)


def test_new_gone_and_too_few():
    old = record(training({"a": [1.0], "b": [1.0]}), training({"a": [1.0] * 9}, case="gone"))
    new = record(training({"a": [2.0], "c": [1.0]}), torch="2.15")
    said, slower = report(old, new, ALPHA, 0.03)
    assert not slower
    text = "\n".join(said)
    assert "too few rounds, or equal values, to tell:\n  +100.0%  training: small: a, images/s (1 -> 2)" in text
    assert "gone: training: gone: a" in text
    assert "gone: training: small: b" in text
    assert "new: training: small: c" in text
    assert "! version of torch: 2.14 -> 2.15" in text


def test_a_curve_is_its_largest_size_against_its_smallest():
    facts = {"width 8": {"x": 8}, "width 16": {"x": 16}, "width 32": {"x": 32}}
    curve = training({"width 8": [1.0], "width 32": [16.0], "width 16": [4.0]}, "width 8", facts=facts)
    (line,) = compared(record(curve), record(curve))
    assert line.name == "training: small: width 32 / width 8"
    assert line.old == [16.0]


def test_exit_status(tmp_path):
    chance = np.random.default_rng(5)
    values = list(np.exp(0.01 * chance.standard_normal(ROUNDS)))
    record(training({"a": values})).write(tmp_path / "old.json")
    record(training({"a": [0.8 * v for v in values]})).write(tmp_path / "new.json")
    command = [sys.executable, "-m", "benchmarks.check"]

    def status(*names):
        return subprocess.run([*command, *names], cwd=ROOT, capture_output=True, encoding="utf-8")

    old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    assert status(old, old).returncode == 0
    found = status(old, new)
    assert found.returncode == 1
    assert "slower, or larger:\n   -20.0%  training: small: a, images/s (" in found.stdout
    assert status(new, old).returncode == 0
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    wrong = status(old, str(tmp_path / "other.json"))
    assert wrong.returncode == 2
    assert "is not a result of `python -m benchmarks`" in wrong.stderr
