"""Rows differ in what they declare, in what follows from it, and in nothing else."""

import re

import pytest
import yaml

from difflab.config.resolve import resolve_row
from difflab.runs.identity import WHERE_AND_HOW
from difflab.studies.planning.confounds import ABSENT, changed_together, check_distinct, check_row, compare, differences
from difflab.studies.spec import Row, StudyError

IDDPM = "+experiment=iddpm/cifar10/{}_T{}"


def row(name: str, *change: str, draw: tuple[str, ...] = ()) -> Row:
    return Row(name, name, "e", change, (), draw, "base")


def check(base: list[str], other: list[str], *change: str, draw=(), base_draw=(), matched=()):
    return check_row(
        row("other", *change, draw=tuple(draw)),
        resolve_row(other),
        row("base", draw=tuple(base_draw)),
        resolve_row(base),
        matched,
    )


def keys(found) -> list[str]:
    return [one.key for one in found]


def test_improved_ddpm_changes_dropout_with_the_schedule():
    """Table 2 of arXiv 2102.09672, as published: dropout 0.3 with cosine, 0.1 with linear."""
    linear, cosine = [IDDPM.format("linear_hybrid", 4000)], [IDDPM.format("cosine_hybrid", 4000)]
    with pytest.raises(StudyError) as caught:
        check(linear, cosine, "schedule")
    message = str(caught.value)
    for part in (
        "row other",
        "row base",
        "network.dropout (0.1 -> 0.3)",
        "network.dropout=0.1",
        "[schedule, network.dropout]",
    ):
        assert part in message
    assert "\n" not in message
    found = check(linear, cosine, "schedule", "network.dropout")
    assert [str(one) for one in found.declared] == ["schedule (linear -> cosine)", "network.dropout (0.1 -> 0.3)"]
    assert found.follows == found.confounds == ()
    assert keys(check(linear, [*cosine, "network.dropout=0.1"], "schedule").declared) == ["schedule"]


def test_the_advice_can_stand_in_the_studys_file_as_it_is_said():
    """Also where a key or a value holds a bracket, which ends a list in YAML."""
    base, other = (
        ["+experiment=cosine_adagn"],
        ["+experiment=cosine_adagn", "network.channel_mult=[1,3]", "network.depth=3"],
    )
    with pytest.raises(StudyError) as caught:
        check(base, other, "network.depth")
    words = re.findall(r"(overrides|change): (\[.*?\])(?: in row|$)", str(caught.value))
    said = {key: yaml.safe_load(text) for key, text in words}
    assert "overrides" not in said, "Hydra sets no element of a list"
    assert "network.channel_mult[1]" in said["change"]
    assert check(base, other, *said["change"]).confounds == ()


def test_a_swapped_part_is_one_difference_and_what_follows_from_it_is_none():
    hybrid, simple = (
        resolve_row([IDDPM.format("linear_hybrid", 1000)]),
        resolve_row([IDDPM.format("linear_simple", 4000)]),
    )
    found = compare(simple, hybrid, ())
    assert {str(one) for one in found.confounds} == {
        "schedule.steps (1000 -> 4000)",
        "schedule.time_scale (1.0 -> 0.25)",
        "variance (LearnedRange -> FixedLarge)",
        "objective (Hybrid -> Simple)",
    }
    assert set(keys(found.follows)) == {"network.out_channels", "sampler.grid.steps", "sampler.variance"}


def test_a_reference_in_one_row_alone_does_not_excuse_a_difference():
    base, other = [IDDPM.format("linear_hybrid", 1000)], [IDDPM.format("linear_hybrid", 4000)]
    change = ("schedule.steps", "schedule.time_scale")
    assert keys(check(base, other, *change).follows) == ["sampler.grid.steps"]
    with pytest.raises(StudyError, match=r"sampler.grid.steps \(1000 -> 250\)"):
        check(base, [*other, "sampler.grid.steps=250"], *change)
    assert check(base, [*other, "sampler.grid.steps=250"], *change, "sampler.grid.steps").confounds == ()


def test_where_and_how_a_run_is_executed_is_no_difference():
    base = ["+experiment=cosine_adagn"]
    elsewhere = [
        "run.root=x",
        "logger=none",
        "trainer.devices=2",
        "strategy=ddp",
        "data.num_workers=3",
        "checkpoint.every=7",
    ]
    found = compare(resolve_row([*base, *elsewhere]), resolve_row(base), ())
    assert found.declared == found.follows == found.confounds == ()
    with pytest.raises(StudyError, match=r"trainer\.devices but does not change it: it says where and how"):
        check(base, [*base, "trainer.devices=2", "schedule=linear"], "schedule", "trainer.devices")


@pytest.mark.parametrize(
    ("changed", "key", "told"),
    [
        ("network/norm=addgn", "network.norm", "(AdaptiveGroupNorm -> AdditiveGroupNorm)"),
        ("network.channel_mult=[1,3]", "network.channel_mult[1]", "(2 -> 3)"),
        ("network.channel_mult=[1,2,2]", "network.channel_mult", "([1, 2] -> [1, 2, 2])"),
        ("trainer.gradient_clip_val=1.0", "trainer.gradient_clip_val", "(null -> 1.0)"),
        ("ema=none", "ema.warm_up", "(WarmUp -> absent)"),
        ("eval.num_samples=5", "eval.num_samples", "(1000 -> 5)"),
    ],
)
def test_every_kind_of_difference_is_found_by_name(changed, key, told):
    base = ["+experiment=cosine_adagn"]
    found = compare(resolve_row([*base, changed]), resolve_row(base), ()).confounds
    assert [str(one) for one in found] == [f"{key} {told}"]
    assert keys(check(base, [*base, changed], key.partition("[")[0]).declared) == [key]


def test_every_single_leaf_that_counts_is_noticed():
    """Changed one at a time, against the list of what may differ."""
    config = dict(resolve_row(["+experiment=cosine_adagn"]).config)

    def changed(node, path=""):
        for name, value in node.items():
            inner = f"{path}.{name}" if path else name
            if isinstance(value, dict):
                for child_key, child in changed(value, inner):
                    yield child_key, {**node, name: child}
            else:
                yield inner, {**node, name: "other"}

    seen = 0
    for key, other in changed(config):
        free = any(key == one or key.startswith(f"{one}.") for one in WHERE_AND_HOW | {"module"})
        assert bool(differences(config, other, WHERE_AND_HOW | {"module"})) != free, key
        seen += 1
    assert seen > 80


def test_numbers_that_are_equal_are_no_difference_and_kinds_are():
    assert not differences({"a": 1, "b": [0]}, {"a": 1.0, "b": [0.0]}, ())
    assert [str(one) for one in differences({"a": 1}, {"a": True}, ())] == ["a (1 -> true)"]
    assert [str(one) for one in differences({"a": None}, {}, ())] == ["a (null -> absent)"]
    assert differences({}, {"a": {}}, ())[0].before is ABSENT


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ["schedule", "network.dropot"],
            r"declares network.dropot, but there is no such key; did you mean network.dropout\?",
        ),
        (["schedule", "width"], r"declares width, but there is no such key; did you mean network.width\?"),
        (["schedule", "network.width"], r"declares network.width but does not change it: it is as in row base, 48\."),
        (["schedule", "network.norm"], r"declares network.norm but does not change it: it is as in row base\."),
        (
            ["schedule", "module.num_classes"],
            r"declares module.num_classes but does not change it: it repeats other keys",
        ),
        (["schedule", "draw.steps"], r"declares draw.steps, but there is no such key"),
    ],
)
def test_what_is_declared_must_change(change, told):
    with pytest.raises(StudyError, match=told):
        check(["+experiment=cosine_adagn"], ["+experiment=linear_adagn"], *change)


def test_how_images_are_drawn_is_compared_as_well():
    base = ["+experiment=cosine_adagn"]
    found = check(base, base, "draw.steps", draw=["steps=10", "scale=1"], base_draw=["scale=1"])
    assert [str(one) for one in found.declared] == ["draw.steps (absent -> 10)"]
    with pytest.raises(StudyError, match=r"draw.eta \(0.5 -> 1\)"):
        check(base, base, "draw.steps", draw=["steps=10", "eta=1"], base_draw=["eta=0.5"])
    with pytest.raises(StudyError, match=r"declares draw\.steps but does not change it: it is as in row base, 10"):
        check(base, base, "draw.steps", draw=["steps=10"], base_draw=["steps=10"])
    assert keys(check(base, base, "draw.sampler", draw=["sampler=ddpm", "sampler.grid.steps=5"]).declared) == [
        "draw.sampler",
        "draw.sampler.grid.steps",
    ]


def test_what_match_has_set_may_differ():
    base, other = ["+experiment=cosine_adagn"], ["+experiment=cosine_addgn", "network.width=50"]
    with pytest.raises(StudyError, match=r"network.width \(48 -> 50\)"):
        check(base, other, "network.norm")
    assert check(base, other, "network.norm", matched=["network.width"]).confounds == ()
    assert check(base, other[:1], "network.norm", matched=["network.width"]).confounds == ()


def test_two_rows_that_are_the_same_run_are_named():
    base = ["+experiment=cosine_adagn"]

    def rows(**given):
        return {name: (row(name, draw=draw), resolve_row(overrides)) for name, (overrides, draw) in given.items()}

    check_distinct(rows(a=(base, ()), b=(base, ("steps=5",)), c=([*base, "network.width=8"], ())))
    same = ["+experiment=linear_adagn", "schedule=cosine", "network.dropout=0", "run.name=z"]
    with pytest.raises(StudyError, match="rows b and d are the same run"):
        check_distinct(rows(a=([*base, "network.width=8"], ()), b=(base, ()), d=(same, ())))
    with pytest.raises(StudyError, match="rows a and b are"):
        check_distinct(rows(a=(base, ("steps=5", "eta=1")), b=(base, ("eta=1", "steps=4", "steps=5"))))


def test_several_ideas_at_once_are_listed():
    assert changed_together(row("a", "schedule", "network.dropout")) == ("schedule", "network.dropout")
    assert changed_together(row("a", "schedule", "draw.steps")) == ("schedule", "draw.steps")
    assert changed_together(row("a", "schedule", "schedule.steps")) == ()
    assert changed_together(row("a", "schedule")) == ()
