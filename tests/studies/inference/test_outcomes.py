"""The rule of verdicts on each of its branches, its words, and its errors by simulation."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel

from difflab.metrics import Measurement, Protocol
from difflab.studies import Arm, Evaluation, Evidence, Facts, Replicate, Row, Study
from difflab.studies.inference import Comparison, Outcome, judge, p_in_words, pilot, verdicts
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
    return judge({"row": Comparison(row, other, "base")}, metric, info(metric), **options)["row"]


def evidence(values, margins=None, against=None):
    """values   row -> seed -> value; the first row is the baseline"""
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
        arms[n] = Arm(rows[n], {}, facts, found, tuple({0, 1, 2} - set(mine)), {})
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
    assert outcome(small).outcome is Outcome.BETTER
    found = outcome(small, margin=1.0)
    assert found.outcome is Outcome.EQUIVALENT
    assert found.p <= 0.05
    assert outcome(small, margin=0.4).outcome is Outcome.BETTER  # its 90 % interval leaves the margin
    assert outcome(shifted(0.0), margin=0.05).outcome is Outcome.INCONCLUSIVE


def test_the_sentence():
    assert outcome(shifted(-1.2)).sentence == "1.20 lower (better), 95 % -1.40 .. -1.00, p < 0.001, 5 seeds"
    words = outcome(shifted(0.02), "is", margin=0.5).sentence
    assert words == "0.02 higher (equivalent), within the margin of 0.5, 90 % -0.13 .. 0.17, p = 0.001, 5 seeds"
    three = {n: Comparison(shifted(by), BASE, "base") for n, by in (("a", -0.4), ("b", 0.1), ("c", 0.0))}
    found = judge(three, "fid", info("fid"))
    p = 3 * ttest_rel(list(shifted(-0.4).values()), list(BASE.values())).pvalue
    assert found["a"].p == pytest.approx(p)
    assert found["a"].sentence.endswith(f"p = {p:.2g} after Holm over 3 rows, 5 seeds")
    assert found["b"].sentence.startswith("0.10 higher (inconclusive), 95 % -0.10 .. 0.30, p = 0.")
    tiny = outcome({s: v / 1e4 for s, v in shifted(-1.2).items()}, other={s: v / 1e4 for s, v in BASE.items()})
    assert tiny.sentence.startswith("0.000120 lower (better), 95 % -0.000140 .. -0.000100")
    assert [p_in_words(p) for p in (0.2, 0.0314, 0.0031, 0.0004, 1.0)] == [
        "= 0.2",
        "= 0.031",
        "= 0.003",
        "< 0.001",
        "= 1",
    ]


def test_holm_takes_back_what_one_row_alone_would_claim():
    a = shifted(-0.22)
    assert outcome(a).outcome is Outcome.BETTER
    rest = {f"r{i}": Comparison(shifted(0.02 * i), BASE, "base") for i in range(3)}
    assert judge({"a": Comparison(a, BASE, "base"), **rest}, "fid", info("fid"))["a"].outcome is Outcome.INCONCLUSIVE
    near = shifted(0.1)
    assert outcome(near, margin=0.3).outcome is Outcome.EQUIVALENT
    wide = {f"r{i}": Comparison(shifted(0.25), BASE, "base") for i in range(3)}
    found = judge({"a": Comparison(near, BASE, "base"), **wide}, "fid", info("fid"), margin=0.3)["a"]
    assert found.equivalence.p <= 0.05 < found.equivalence_p
    assert found.outcome is Outcome.INCONCLUSIVE


def test_too_few_seeds_are_inconclusive_and_say_why():
    one = outcome({0: 8.0, 9: 1.0}, margin=5.0)
    assert (one.outcome, one.p, one.difference.mean) == (Outcome.INCONCLUSIVE, None, -2.0)
    assert one.sentence == "-2 at the one seed shared with base (inconclusive): two are needed at least"
    none = outcome({9: 1.0})
    assert (none.outcome, none.difference) == (Outcome.INCONCLUSIVE, None)
    assert none.sentence == "no seed shared with base is finished (inconclusive)"
    dead = outcome({**shifted(-5), 3: math.nan})
    assert (dead.outcome, dead.difference) == (Outcome.INCONCLUSIVE, None)
    assert dead.sentence.startswith("not a finite number at seed 3")


def test_equal_differences_are_not_certain_from_three_seeds():
    few, base = {0: 8.0, 1: 9.0, 2: 7.0}, {0: 10.0, 1: 11.0, 2: 9.0}
    found = outcome(few, other=base, margin=3.0)
    assert (found.outcome, found.p) == (Outcome.INCONCLUSIVE, 0.25)
    assert found.sentence.startswith(
        "2.00 lower (inconclusive), no 95 % interval from so few seeds that differ equally, p = 0.25"
    )
    same = outcome(base, other=base)
    assert same.sentence.startswith("no difference (inconclusive)")
    six = {s: 1.0 + s for s in range(6)}
    assert outcome(six, other=six, margin=0.1).outcome is Outcome.EQUIVALENT


def test_a_deviation_has_no_verdict():
    with pytest.raises(ValueError, match="is_std"):
        outcome(BASE, "is_std")


def test_verdicts_of_a_study():
    base = {0: 10.0, 1: 11.0, 2: 9.0}
    found = verdicts(
        evidence(
            {
                "base": base,
                "a": {0: 8.0, 1: 9.1, 2: 6.9},
                "b": {0: 8.3, 1: 9.3, 2: 7.21},
                "late": {1: 5.0},
                "none": {},
            },
            {"fid": 1.0},
            {"b": "a"},
        ),
        "fid",
    )
    assert list(found) == ["a", "b", "late", "none"]
    assert [v.outcome.value for v in found.values()] == ["better", "equivalent", "inconclusive", "inconclusive"]
    assert (found["b"].against, found["a"].rows) == ("a", 4)
    assert found["a"].p == pytest.approx(4 * found["a"].difference.p)
    with pytest.raises(ValueError, match=r"row a, seed 0: 'is' is not among its results \(fid\)"):
        verdicts(evidence({"base": base, "a": base}), "is")


def test_a_study_is_its_own_pilot():
    base, rng = {0: 10.0, 1: 11.0, 2: 9.0}, np.random.default_rng(0)
    noise = {n: dict(enumerate(rng.normal(0, 1, 3))) for n in "ab"}
    full = evidence({"base": base, **{n: {s: base[s] + e for s, e in mine.items()} for n, mine in noise.items()}})
    assert pilot(full, "fid").sd == pytest.approx(
        math.sqrt(np.mean([np.var(list(m.values()), ddof=1) for m in noise.values()]))
    )
    alone = pilot(evidence({"base": base, "a": {0: 3.0}, "flat": {0: 1.0, 1: 2.0}}), "fid")
    assert alone.sd == pytest.approx(math.sqrt(2))
    assert "baseline" in alone.source
    assert pilot(evidence({"base": {0: 1.0, 1: math.nan}, "a": {0: 3.0}}), "fid") is None


def test_false_claims_are_rare_over_a_whole_study():
    """Half of the rows have no effect and half lie at the margin: neither false differences nor false equivalences pass alpha."""
    trials, n, margin, FID = 1200, 5, 1.5, info("fid")
    rng = np.random.default_rng(5)
    differences = equivalences = 0
    for _ in range(trials):
        seed = rng.normal(0, 3, n)
        base = dict(enumerate(seed + rng.normal(0, 1, n)))
        rows = {
            f"{effect} {i}": Comparison(dict(enumerate(seed + effect + rng.normal(0, 1, n))), base, "base")
            for effect in (0.0, margin)
            for i in range(2)
        }
        with_margin, without = judge(rows, "fid", FID, margin=margin), judge(rows, "fid", FID)
        differences += any(without[row].outcome is not Outcome.INCONCLUSIVE for row in rows if row.startswith("0"))
        equivalences += any(with_margin[row].outcome is Outcome.EQUIVALENT for row in rows if not row.startswith("0"))
    most = binom.ppf(1 - 1e-5, trials, 0.05)
    assert 0.01 * trials < differences <= most
    assert 0 < equivalences <= most
