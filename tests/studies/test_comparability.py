"""Numbers that were not measured alike are refused, by name."""

import pytest

from difflab.studies import StudyError
from difflab.studies.evidence import gather
from difflab.studies.planning import RowPlan
from fabricated import FACTS, PROTOCOL, finish, measured, planned, study


def evidence_of(root, change, follows=(), seed=None, **fields):
    """A baseline, and a row that was measured with other fields (at one seed, or at all)."""
    plan = planned(
        root, study({"base": {}, "new": {"change": list(change)}}), new=RowPlan({}, FACTS, follows=tuple(follows))
    )
    for s in (0, 1, 2):
        finish(plan, "base", s, [measured("fid", 1.0, s)])
        finish(plan, "new", s, [measured("fid", 2.0, s, **(fields if seed in (None, s) else {}))])
    return gather(plan)


def sampler(**changed):
    grid = {"steps": changed.pop("steps", 25)}
    return {"sampler": {**PROTOCOL["sampler"], "grid": grid, **changed}}


def guided(scale):
    return {"guidance": {**PROTOCOL["guidance"], "classifier_free": {"_target_": "CFG", "scale": scale}}}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ("draw.steps", sampler(steps=50)),
        ("draw.eta", sampler(eta=1.0)),
        ("draw.sampler", sampler(_target_="difflab.samplers.Heun", eta=0.5)),
        ("draw.scale", guided(2.0)),
        ("draw.guidance", guided(2.0)),
        ("draw.track", {"track": "online"}),
        ("sampler", sampler(eta=1.0, steps=10)),
        ("sampler.grid.steps", sampler(steps=10)),
        ("guidance.classifier_free.scale", guided(3.0)),
        ("ema", {"track": "slow"}),
        ("ema.slow.decay", {"track": "slow"}),
        ("draw.guidance", {"classes": "all 1000 in turn"}),
        ("draw.guidance.clip", {"guidance_order": "clip, classifier"}),
        ("draw.scale", {"guidance_order": "clip, classifier"}),
        ("data.num_classes", {"classes": "none"}),
        ("draw.stage.1.steps", {"stages": {"1": {"sampler": {"grid": {"steps": 25}}}}}),
        ("draw.stages", {"stages": {"0": {"track": "ema"}}, "track": "none of its own"}),
    ],
)
def test_a_declared_change_explains_its_fields(tmp_path, change, fields):
    assert evidence_of(tmp_path, [change], **fields).arms["new"].values("fid")[2] == 2.0


def test_what_follows_from_a_declared_change_explains_as_well(tmp_path):
    fields = sampler(steps=50)
    assert evidence_of(tmp_path / "a", ["schedule"], ["sampler.grid.steps"], **fields)
    with pytest.raises(StudyError, match=r"sampler\.grid\.steps = 50.*row base with sampler\.grid\.steps = 25"):
        evidence_of(tmp_path / "b", ["schedule"], **fields)


@pytest.mark.parametrize(
    ("change", "fields", "field"),
    [
        ("network.norm", {"track": "online"}, "track = online"),
        ("draw.steps", sampler(steps=50, eta=1.0), "sampler.eta = 1.0"),
        ("draw.eta", sampler(steps=50), "sampler.grid.steps = 50"),
        ("draw.scale", {"samples": 5000}, "samples = 5000"),
        ("sampler", {"reference": {"fingerprint": "r2", "images": 50000}}, "reference.fingerprint = r2"),
        ("network.norm", {"extractor": {"name": "inception", "fingerprint": "e2"}}, "extractor.fingerprint = e2"),
        ("draw.num_samples", {"samples": 5000}, "samples = 5000"),
        ("data.image_size", {"classes": "none"}, "classes = none"),
        ("draw.steps", {"classes": "none"}, "classes = none"),
    ],
)
def test_other_differences_name_row_seed_field_and_both_values(tmp_path, change, fields, field):
    with pytest.raises(StudyError, match="row new, seed 0: fid was measured with ") as error:
        evidence_of(tmp_path, [change], **fields)
    assert field in str(error.value)
    assert f"({change})" in str(error.value)


def test_seeds_of_a_row_may_differ_in_sampling_seeds_alone(tmp_path):
    with pytest.raises(StudyError, match=r"row new, seed 2: .*eta = 1\.0, and at seed 0 with sampler\.eta = 0\.0"):
        evidence_of(tmp_path, ["draw.eta"], seed=2, **sampler(eta=1.0))


def test_rows_draw_from_the_same_sampling_seeds(tmp_path):
    with pytest.raises(StudyError, match=r"row new, seed 1: fid was measured with seeds = 7 \.\. 9"):
        evidence_of(tmp_path, ["network.norm"], seed=1, seeds="7 .. 9")


def test_rows_without_a_seed_in_common_are_compared_all_the_same(tmp_path):
    plan = planned(tmp_path, study({"base": {}, "new": {}}))
    finish(plan, "base", 0, [measured("fid", 1.0, 0)])
    finish(plan, "new", 1, [measured("fid", 1.0, 1)])
    assert gather(plan).arms["new"].missing == (0, 2)
    finish(plan, "new", 2, [measured("fid", 1.0, 2, track="online")])
    with pytest.raises(StudyError, match=r"row new, seed 2: .*track = online"):
        gather(plan)


def test_a_row_is_measured_as_the_row_that_it_names_and_not_as_the_baseline(tmp_path):
    plan = planned(
        tmp_path,
        study({"base": {}, "fast": {"change": ["draw.steps"]}, "new": {"change": ["network.norm"], "against": "fast"}}),
    )
    for row, fields in (("base", {}), ("fast", sampler(steps=5)), ("new", sampler(steps=5))):
        finish(plan, row, 0, [measured("fid", 1.0, 0, **fields)])
    assert set(gather(plan).arms) == {"base", "fast", "new"}
