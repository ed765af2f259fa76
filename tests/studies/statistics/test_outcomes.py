"""The rule of verdicts on each of its branches, its words, and its errors by simulation."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel

from difflab.evaluation import Measurement
from difflab.formatting import p_in_words
from difflab.metrics import Protocol
from difflab.studies import Arm, Evaluation, Evidence, Replicate, Row, Study
from difflab.studies.planning import Facts
from difflab.studies.scale import read_margin
from difflab.studies.statistics import Outcome, Pair, judge, pilot, verdicts
from fabricated import info

BASE = {0: 10.0, 1: 11.0, 2: 9.0, 3: 12.0, 4: 10.5}


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def shifted(by, noise=(0.2, -0.2, 0.1, -0.1, 0.0)):
    return {s: BASE[s] + by + e for s, e in zip(BASE, noise, strict=True)}


def outcome(row, metric="fid", other=BASE, **options):
    return judge({"row": Pair(row, other, "base")}, metric, info(metric), **options)["row"]


def evidence(values, margins=None, against=None, diverged=None):
    """What a study has found.

    Args:
        values: Row -> seed -> value; the first row is the baseline.
        margins: Of equivalence.
        against: Row -> the row that it is compared with, where that is not the baseline.
        diverged: Row -> seeds.
    """
    names, protocol = list(values), Protocol.of({})
    rows = {n: Row(n, n, "x", ("k",), (), (), (against or {}).get(n, names[0])) for n in names}
    study = Study("s", "?", names[0], (0, 1, 2), (), Evaluation("fid", ("fid",)), rows, margins or {}, 0.05)
    facts = Facts(1, 1.0, 1.0, 1, 1, 1, {})
    arms = {}
    for n, mine in values.items():
        found = {
            s: Replicate(s, Path("r"), {"fid": Measurement("fid", v, 100, protocol, info=info("fid"))})
            for s, v in mine.items()
        }
        lost = (diverged or {}).get(n, ())
        arms[n] = Arm(rows[n], {}, facts, found, tuple({0, 1, 2} - {*mine, *lost}), {}, diverged=lost)
    return Evidence(study, arms)


def test_a_clear_difference_is_better_or_worse_by_the_metrics_direction():
    assert outcome(shifted(-1)).outcome is Outcome.BETTER
    assert outcome(shifted(+1)).outcome is Outcome.WORSE
    assert outcome(shifted(-1), "is").outcome is Outcome.WORSE
    assert outcome(shifted(+1), "recall").outcome is Outcome.BETTER
    assert outcome(shifted(-0.05)).outcome is Outcome.INCONCLUSIVE
    assert f"{outcome(shifted(-1)).outcome}" == "better"


def test_within_the_margin_is_equivalent_even_if_significant():
    small = shifted(-0.3)
    assert outcome(small, "is").outcome is Outcome.WORSE
    found = outcome(small, "is", margin=read_margin(1.0))
    assert found.outcome is Outcome.EQUIVALENT
    assert found.p <= 0.05
    assert outcome(small, "is", margin=read_margin(0.4)).outcome is Outcome.WORSE  # its 90 % interval leaves the margin
    assert outcome(shifted(0.0), "is", margin=read_margin(0.05)).outcome is Outcome.INCONCLUSIVE


def test_the_sentence():
    better = outcome(shifted(1.2), "is").sentence
    assert better == (
        "better: 1.20 higher at a typical seed, 95 % 1.00 .. 1.40, paired t p < 0.001, better at 5 of 5 seeds; "
        "also on average (skew guard p < 0.001); "
        "sd 1.01 (base 1.12), worst seed 1: +1.00"
    )
    words = outcome(shifted(0.02), "is", margin=read_margin(0.5)).sentence
    assert words == (
        "equivalent: 0.02 higher at a typical seed, within the margin of 0.5, 90 % -0.13 .. 0.17, two one-sided t p = 0.001, "
        "better at 3 of 5 seeds; "
        "sd 1.01 (base 1.12), worst seed 1: -0.18"
    )
    three = {n: Pair(shifted(by), BASE, "base") for n, by in (("a", -0.4), ("b", 0.1), ("c", 0.0))}
    found = judge(three, "is", info("is"))
    p = 3 * ttest_rel(list(shifted(-0.4).values()), list(BASE.values())).pvalue
    assert found["a"].p == pytest.approx(p)
    assert (
        f"p = {p:.2g} after Holm over 3 rows, worse at 5 of 5 seeds; also on average (skew guard p = "
        in found["a"].sentence
    )
    assert found["b"].sentence.startswith(
        "inconclusive: 0.10 higher at a typical seed, 95 % -0.10 .. 0.30, paired t p = 0."
    )
    assert [p_in_words(p) for p in (0.2, 0.0314, 0.0031, 0.0004, 1.0)] == [
        "= 0.2",
        "= 0.031",
        "= 0.003",
        "< 0.001",
        "= 1",
    ]


def test_a_ratio_is_compared_on_logarithms_and_told_in_per_cent():
    """The same ratio at all levels, with noise: raw differences scatter with the level, logarithms do not."""
    noise = (0.01, -0.01, 0.02, -0.02)
    base = dict(enumerate((10.0, 20.0, 40.0, 80.0)))
    row = {s: 0.9 * base[s] * math.exp(e) for s, e in enumerate(noise)}
    found = outcome(row, "fid", base)
    theirs = ttest_rel(np.log(list(row.values())), np.log(list(base.values())))
    low, high = 100 * np.expm1(theirs.confidence_interval())
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.difference.limits == pytest.approx((low, high))
    assert found.difference.value == pytest.approx(-10)
    assert found.sentence.startswith(
        "better: 10.0 % lower at a typical seed, 95 % -12.6 .. -7.3 %, paired t p = 0.001, better at 4 of 4 seeds; also"
    )
    assert found.sentence.endswith("CV 81.2 % (base 82.6 %), worst seed 2: -8.2 %")
    assert outcome(row, "is", base).outcome is Outcome.INCONCLUSIVE  # what raw differences would say
    within = outcome({s: v * 1.002 for s, v in row.items()}, "fid", row, margin=read_margin("5 %"))
    assert within.outcome is Outcome.INCONCLUSIVE  # without scatter four seeds show nothing
    near = {s: v * (1.002 + 0.003 * (-1) ** s) for s, v in base.items()}
    assert "within the margin of 5 %, 90 %" in outcome(near, "fid", base, margin=read_margin("5 %")).sentence
    with pytest.raises(ValueError, match=r"margins\.is = 5 %: is is not compared as a ratio"):
        outcome(near, "is", base, margin=read_margin("5 %"))


def test_a_number_that_has_no_logarithm_is_named_and_not_dropped():
    found = outcome({**BASE, 3: 0.0}, "fid")
    assert (found.outcome, found.p, found.difference) == (Outcome.INCONCLUSIVE, None, None)
    assert found.sentence == "inconclusive: fid is compared as a ratio, which takes numbers above 0: 0 here at seed 3"
    assert outcome(BASE, "fid", {**BASE, 1: 0.0}).sentence.endswith("0 in base at seed 1")


def test_holm_takes_back_what_one_row_alone_would_claim():
    a = shifted(-0.22)
    assert outcome(a, "is").outcome is Outcome.WORSE
    rest = {f"r{i}": Pair(shifted(0.02 * i), BASE, "base") for i in range(3)}
    assert judge({"a": Pair(a, BASE, "base"), **rest}, "is", info("is"))["a"].outcome is Outcome.INCONCLUSIVE
    near, margin = shifted(0.1), read_margin(0.3)
    assert outcome(near, "is", margin=margin).outcome is Outcome.EQUIVALENT
    wide = {f"r{i}": Pair(shifted(0.25), BASE, "base") for i in range(3)}
    found = judge({"a": Pair(near, BASE, "base"), **wide}, "is", info("is"), margin=margin)["a"]
    assert found.equivalence.p <= 0.05 < found.equivalence_p
    assert found.outcome is Outcome.INCONCLUSIVE


def test_on_average_is_a_second_and_harder_claim():
    """A row that is a little better at most seeds and much worse at one in sight: better at a typical seed, by t, and not on average."""
    base = dict.fromkeys(range(10), 10.0)
    row = {s: 10.0 + d for s, d in enumerate((-1.0, -1.1, -0.9, -1.05, -0.95, -1.0, -1.1, -0.9, -0.98, 1.4))}
    found = outcome(row, "kid", base)
    assert found.outcome is Outcome.BETTER
    assert not found.on_average
    assert found.average_p > 0.8 * 0.05
    assert "; not shown on average (skew guard p = " in found.sentence
    assert found.sentence.endswith("worst seed 9: +1.40")
    wide = {s: 10 + 3 * d for s, d in enumerate((-1.0, -1.1, -0.9, -1.05, -0.95, -1.0, -1.1, -0.9, -0.98, 1.4))}
    spread = outcome(wide, "kid", {s: 10 + 0.1 * s for s in base}).sentence
    assert ": spread " in spread
    assert " times that of base; " in spread


def test_too_few_seeds_are_inconclusive_and_say_why():
    one = outcome({0: 8.0, 9: 1.0}, "is", margin=read_margin(5.0))
    assert (one.outcome, one.p, one.difference.mean) == (Outcome.INCONCLUSIVE, None, -2.0)
    assert one.sentence == "inconclusive: -2 at the one seed shared with base: two are needed at least"
    none = outcome({9: 1.0})
    assert (none.outcome, none.difference) == (Outcome.INCONCLUSIVE, None)
    assert none.sentence == "inconclusive: no seed shared with base is finished"


def test_equal_differences_are_not_certain_from_three_seeds():
    few, base = {0: 8.0, 1: 9.0, 2: 7.0}, {0: 10.0, 1: 11.0, 2: 9.0}
    found = outcome(few, "is", base, margin=read_margin(3.0))
    assert (found.outcome, found.p) == (Outcome.INCONCLUSIVE, 0.25)
    assert found.sentence.startswith(
        "inconclusive: 2.00 lower at a typical seed, no 95 % interval from so few seeds that differ equally, sign flip p = 0.25"
    )
    same = outcome(base, other=base)
    assert same.sentence.startswith("inconclusive: no difference at a typical seed")
    six = {s: 1.0 + s for s in range(6)}
    assert outcome(six, other=six, margin=read_margin(0.1)).outcome is Outcome.EQUIVALENT


def test_a_deviation_has_no_verdict():
    with pytest.raises(ValueError, match="is_std"):
        outcome(BASE, "is_std")


def test_verdicts_of_a_study():
    base = {0: 10.0, 1: 11.0, 2: 9.0}
    rows = {"a": {0: 8.0, 1: 9.1, 2: 6.9}, "b": {0: 8.0, 1: 9.12, 2: 6.88}, "dead": {}}
    found = verdicts(
        evidence({"base": base, **rows}, {"fid": read_margin("5 %")}, {"b": "a"}, {"dead": (0, 1, 2)}), "fid"
    )
    assert {row: one.outcome.value for row, one in found.items()} == {
        "a": "better",
        "b": "equivalent",
        "dead": "failed",
    }
    assert (found["b"].against, found["a"].rows) == ("a", 3)
    assert found["a"].p == pytest.approx(3 * found["a"].difference.p)
    assert found["dead"].sentence == "failed: all 3 runs diverged or gave no number (seeds 0, 1, 2)"
    with pytest.raises(ValueError, match=r"row a, seed 0: 'is' is not among its results \(fid\)"):
        verdicts(evidence({"base": base, "a": base}), "is")


def test_before_all_runs_have_ended_there_is_no_verdict():
    """Rows that are there keep their differences; a look with the right to stop would find too much."""
    base = {0: 10.0, 1: 11.0, 2: 9.0}
    rows = {"a": {0: 8.0, 1: 9.1, 2: 6.9}, "late": {1: 5.0}, "none": {}}
    found = verdicts(evidence({"base": base, **rows}), "fid")
    assert {one.outcome for one in found.values()} == {Outcome.INTERIM}
    assert {one.p for one in found.values()} == {one.equivalence_p for one in found.values()} == {None}
    words = "seeds; no verdict before all of the study's runs have ended"
    assert [one.sentence for one in found.values()] == [f"interim: {n} of 3 {words}" for n in (3, 1, 0)]
    assert found["a"].difference.value == pytest.approx(100 * (8 * 9.1 * 6.9 / 990) ** (1 / 3) - 100)


def test_a_study_is_its_own_pilot():
    base, rng = {0: 10.0, 1: 11.0, 2: 9.0}, np.random.default_rng(0)
    noise = {n: dict(enumerate(rng.normal(0, 0.1, 3))) for n in "ab"}
    rows = {n: {s: base[s] * math.exp(e) for s, e in mine.items()} for n, mine in noise.items()}
    full = pilot(evidence({"base": base, **rows}), "fid")  # fid is a ratio: the scatter is that of logarithms
    assert full.sd == pytest.approx(math.sqrt(np.mean([np.var(list(m.values()), ddof=1) for m in noise.values()])))
    assert full.level == 10.0
    alone = pilot(evidence({"base": base, "a": {0: 3.0}, "flat": {0: 1.0, 1: 1.1}}), "fid")
    assert alone.sd == pytest.approx(math.sqrt(2) * np.std(np.log([10, 11, 9]), ddof=1))
    assert "baseline" in alone.source
    assert pilot(evidence({"base": {0: 1.0, 1: math.nan}, "a": {0: 3.0}}), "fid") is None


def test_false_claims_are_rare_over_a_whole_study():
    """Half of the rows have no effect and half lie at the margin: neither false differences nor false equivalences pass alpha."""
    trials, n, reach = 1200, 5, 1.5
    rng, margin = np.random.default_rng(5), read_margin(1.5)
    differences = equivalences = 0
    for _ in range(trials):
        seed = rng.normal(0, 3, n)
        base = dict(enumerate(seed + rng.normal(0, 1, n)))
        rows = {
            f"{effect} {i}": Pair(dict(enumerate(seed + effect + rng.normal(0, 1, n))), base, "base")
            for effect in (0.0, reach)
            for i in range(2)
        }
        with_margin, without = judge(rows, "is", info("is"), margin=margin), judge(rows, "is", info("is"))
        differences += any(without[row].outcome is not Outcome.INCONCLUSIVE for row in rows if row.startswith("0"))
        equivalences += any(with_margin[row].outcome is Outcome.EQUIVALENT for row in rows if not row.startswith("0"))
    most = binom.ppf(1 - 1e-5, trials, 0.05)
    assert 0.01 * trials < differences <= most
    assert 0 < equivalences <= most
