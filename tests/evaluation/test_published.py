"""Published numbers beside ours: the gap, and every way in which the two were measured differently."""

import pytest

from difflab.evaluation import (
    Measurement,
    Results,
    Target,
    compare_with_published,
    compare_with_targets,
    published_table,
    read_targets,
)
from difflab.metrics import Difference, Protocol
from difflab.metrics.protocol import NOT_STATED

NODE = {
    "value": 3.17,
    "at_step": 800,
    "samples": 50000,
    "steps": 1000,
    "sampler": "DDPM",
    "guidance": "none",
    "weights": "ema",
    "reference": "training images",
    "reference_images": 50000,
    "assumed": ["steps"],
    "source": "somebody, table 1",
    "confidence": "paper",
}
OURS = {
    "metric": {"name": "fid"},
    "extractor": {"name": "inception", "fingerprint": "abc"},
    "preprocessing": "tf1",
    "reference": {"fingerprint": "def", "images": 50000},
    "sampler": {"_target_": "difflab.samplers.DDPM", "grid": {"steps": "1000"}},
    "guidance": {"clip": {"low": -1.0}},
    "track": "constant",
    "seeds": "0..49999",
    "quantization": "round",
}


def measured(value: float = 3.27, samples: int = 50000, metric: str = "fid", **changed) -> Measurement:
    return Measurement(metric, value, samples, Protocol.of(OURS | changed), std_error=0.04, replicates=100)


def target(**changed) -> Target:
    return Target.read("fid", NODE | changed)


def test_the_same_protocol_differs_in_nothing():
    comparison = compare_with_published(measured(), target(), step=800)
    assert comparison.differences == []
    assert {d.field for d in comparison.not_stated} == {
        "quantization",
        "clipping",
        "preprocessing",
        "guidance.clip.low",
    }
    assert all(d.second == NOT_STATED for d in comparison.not_stated)


def test_what_is_said_of_a_cascade_is_said_of_each_stage():
    """ADM's table 6: 250 steps of the base, guided, and 25 of the upsampler."""
    shared = ("sampler", "guidance", "track")
    base = {key: OURS[key] for key in shared} | {
        "guidance": {"clip": {"low": -1.0}, "mean_shift_at_image": {"scale": 1.5}}
    }
    upsampler = {**base, "guidance": {}, "sampler": {"_target_": "difflab.samplers.DDIM", "grid": {"steps": "ddim25"}}}
    ours = {key: value for key, value in OURS.items() if key not in shared} | {"stages": {"0": base, "1": upsampler}}
    ours = Measurement("fid", 4.0, 50000, Protocol.of(ours))
    stated = {
        "steps": "1000, ddim25",
        "sampler": "DDPM, DDIM",
        "guidance": "mean_shift_at_image, none",
        "weights": "ema, ema",
    }
    comparison = compare_with_published(ours, target(**stated), step=800)
    assert comparison.differences == []
    told = {d.field for d in comparison.not_stated}
    assert told == {
        "quantization",
        "clipping",
        "preprocessing",
        "stages.0.guidance.clip.low",
        "stages.0.guidance.mean_shift_at_image.scale",
    }
    other = compare_with_published(ours, target(**stated | {"steps": "1000, 250"}), step=800)
    assert [(d.field, d.first, d.second) for d in other.differences] == [("steps", "1000, ddim25", "1000, 250")]


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"samples": 10000}, Difference("samples", 10000, 50000)),
        ({"track": "online"}, Difference("weights", "online", "ema")),
        ({"reference": {"images": 10000}}, Difference("reference_images", 10000, 50000)),
        ({"reference": {}}, Difference("reference_images", NOT_STATED, 50000)),
        (
            {"sampler": {"_target_": "difflab.samplers.DDIM", "grid": {"steps": 1000}}},
            Difference("sampler", "DDIM", "DDPM"),
        ),
        (
            {"sampler": {"_target_": "difflab.samplers.DDPM", "grid": {"steps": 250}}},
            Difference("steps", 250, 1000),
        ),
        ({"guidance": {"clip": {"low": -1.0}, "cfg": {"scale": 1.5}}}, Difference("guidance", "cfg", "none")),
        ({"extractor": {"name": "other"}}, Difference("extractor", "other", "inception")),
    ],
)
def test_each_difference_is_found_alone(changed, difference):
    assert compare_with_published(measured(**changed), target(), step=800).differences == [difference]


@pytest.mark.parametrize("stated", ["none", "clip"])
def test_clipping_that_differs_is_not_hidden(stated):
    """DDIM's generalized steps never clip x_0, and a model of ours that clips it is another one."""
    ours = {"guidance": {}} if stated == "clip" else {}
    (difference,) = compare_with_published(measured(**ours), target(clipping=stated), step=800).differences
    assert difference == Difference("clipping", "none" if stated == "clip" else "clip", stated)
    alike = {} if stated == "clip" else {"guidance": {}}
    assert compare_with_published(measured(**alike), target(clipping=stated), step=800).differences == []


@pytest.mark.parametrize(("ours", "theirs"), [("to_uint8", "to_uint8_truncated"), ("to_uint8_truncated", "to_uint8")])
def test_quantization_is_named_by_its_function(ours, theirs):
    comparison = compare_with_published(
        measured(quantization=f"difflab.metrics.{ours}"), target(quantization=theirs), step=800
    )
    assert comparison.differences == [Difference("quantization", ours, theirs)]
    comparison = compare_with_published(
        measured(quantization=f"difflab.metrics.{ours}"), target(quantization=ours), 800
    )
    assert comparison.differences == []


def test_images_of_unknown_origin_say_nothing_of_sampler_and_guidance():
    protocol = Protocol.of({key: value for key, value in OURS.items() if key not in ("sampler", "guidance", "track")})
    comparison = compare_with_published(Measurement("fid", 3.0, 50000, protocol), target(), step=800)
    expected = [("steps", 1000), ("sampler", "DDPM"), ("guidance", "none"), ("weights", "ema")]
    assert sorted(comparison.differences) == sorted(Difference(field, NOT_STATED, value) for field, value in expected)


def test_training_step_and_the_choice_of_a_number_are_differences_too():
    assert compare_with_published(measured(), target(), step=700).differences == [Difference("at_step", 700, 800)]
    assert compare_with_published(measured(), target()).differences == [Difference("at_step", NOT_STATED, 800)]
    best = compare_with_published(measured(), target(selection="lowest of the training"), step=800)
    assert best.differences == [Difference("selection", NOT_STATED, "lowest of the training")]


def test_the_gap_and_whether_theirs_is_in_our_interval():
    near, far = (compare_with_published(measured(value), target()) for value in (3.23, 3.37))
    assert near.gap == pytest.approx(0.06)
    assert far.relative_gap == pytest.approx(0.2 / 3.17)
    assert (near.inside, far.inside) == (True, False)  # 1.98 standard errors of 0.04 are 0.079
    without = Measurement("fid", 3.17, 50000, Protocol({}))
    assert compare_with_published(without, target()).inside is None
    assert compare_with_published(measured(), target(value=0)).relative_gap is None


def test_a_number_of_another_metric_is_refused():
    with pytest.raises(ValueError, match="our is cannot be compared with a published fid"):
        compare_with_published(measured(metric="is"), target())


def test_of_several_steps_ours_is_taken():
    targets = read_targets(
        {"fid_early": NODE | {"metric": "fid", "at_step": 400, "value": 5}, "fid": NODE, "kid": NODE}
    )
    results = Results([measured(), measured(metric="is")])

    def named(step):
        return [comparison.target.name for comparison in compare_with_targets(results, targets, step)]

    assert named(400) == ["fid_early"]
    assert named(800) == ["fid"]
    assert named(500) == named(None) == ["fid_early", "fid"]


def test_the_table_says_it_all():
    targets = read_targets(
        {"fid": NODE, "bits_per_dim": {"value": 3.7, "source": "table 2", "confidence": "secondary"}}
    )
    ours = measured(samples=10000, sampler={**OURS["sampler"], "grid": {"steps": 250}})
    comparisons = compare_with_targets(Results([ours]), targets, 800)
    lines = published_table(comparisons, targets[1:], width=400).splitlines()
    assert lines[0].split() == ["metric", "ours", "published", "gap", "relative", "in", "our", "95", "%", "source"]
    assert lines[1].split()[:8] == ["fid", "3.27", "-/+", "0.079", "3.17", "+0.1", "+3.2%", "no"]
    assert lines[1].endswith("somebody, table 1 (paper, against training images)")
    assert lines[1].index("3.17") == lines[0].index("published")
    assert lines[2] == "  differs: samples 10000 (published 50000); steps 250 (published 1000, assumed)"
    assert lines[3] == "  not stated: quantization round; clipping clip; guidance.clip.low -1.0; preprocessing tf1"
    assert lines[4:] == ["bits_per_dim 3.7 was published (table 2) and not measured"]
    narrow = published_table(comparisons, width=60).splitlines()
    assert max(map(len, narrow[2:])) <= 60


def test_bits_per_dim_needs_no_extractor():
    read = Target.read("bits_per_dim", {"value": 3.7, "source": "table 2", "confidence": "secondary"})
    assert read.stated == {}
    assert target().stated["extractor"] == "inception"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": 3}, r"target\.fid: unknown key 'sample'; did you mean 'samples'"),
        ({"confidence": "sure"}, r"target\.fid\.confidence = 'sure': expected one of paper, secondary, unverified"),
        ({"value": "3.17"}, r"target\.fid\.value = '3\.17' is no number"),
        ({"assumed": ["eta"]}, r"target\.fid\.assumed names eta, of which the target says nothing"),
        ({"value": None}, r"target\.fid\.value = None is no number"),
    ],
)
def test_mistakes_in_a_target_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        target(**change)


@pytest.mark.parametrize("key", ["value", "source", "confidence"])
def test_a_target_without_its_source_is_none(key):
    with pytest.raises(ValueError, match=f"lacks {key}"):
        Target.read("fid", {k: v for k, v in NODE.items() if k != key})
