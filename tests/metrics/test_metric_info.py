"""What metrics declare of their numbers, and what is known of those that were written without it."""

import json
import math
from inspect import isabstract
from pathlib import Path

import pytest

from difflab import metrics
from difflab.evaluation import BitsPerDim, Measurement, Results
from difflab.evaluation.results import declared, recognised
from difflab.features.extractor import Identity
from difflab.metrics import MetricInfo, Protocol
from difflab.metrics.metric import Metric
from difflab.metrics.protocol import HeldOut
from foreign import NAMES, Undeclared

EARLIER = Path(__file__).parents[1] / "golden" / "results_without_info.json"
"""What evaluate.py wrote of 200 noisy digits before results had `info`, with all metrics that suit them."""

EXTRACTORS = ("inception", "digits", "clip_vitl14_336", "mine")
HIGHER = ("is", "precision", "recall", "precision_fp16", "recall_fp16", "density", "coverage", "known")
LOWER = ("fid", "sfid", "fid_inf", "class_fd", "kid", "mmd", "cmmd", "fd", "sfd", "fd_inf", "kd", "sw")


def strict(text: str) -> dict:
    """JSON as its standard has it."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_each_number_of_difflab_is_recognised_as_its_metric_declares_it(extractor):
    identity, protocol = Identity(extractor, 8, ""), Protocol({"extractor.name": extractor})
    classes = [getattr(metrics, name) for name in metrics.__all__]
    kinds = [part for part in classes if isinstance(part, type) and issubclass(part, Metric) and not isabstract(part)]
    for metric in (part() for part in kinds):
        for name, info in metric.info(identity).items():
            assert recognised(name, protocol) == info, name
            stem = (
                name
                if extractor == "inception"
                else name.removesuffix(f"_{extractor}").removesuffix(f"_{extractor}_std")
            )
            way = (
                None if name.endswith("_std") else {**dict.fromkeys(HIGHER, True), **dict.fromkeys(LOWER, False)}[stem]
            )
            assert info.higher_is_better is way, name


def test_pairs_bounds_and_classifiers_are_recognised_too():
    drawn = {"sampler._target_": "difflab.samplers.DDIM"}
    known = {
        "psnr": ({}, True, "dB"),
        "ssim": ({}, True, ""),
        "consistency": ({}, False, ""),
        "lpips_vgg": ({"metric.net": "vgg"}, False, ""),
        "feature_distance_digits": ({"metric.features_of": "e1"}, False, ""),
        "bits_per_dim": ({}, False, "bits/dim"),
    }
    for name, (fields, higher, unit) in known.items():
        info = recognised(name, Protocol(drawn | fields))
        assert info is not None, name
        assert (info.higher_is_better, info.unit) == (higher, unit), name
    held_out = Protocol({"schedule._target_": "difflab.schedules.discrete"})
    for name, info in HeldOut.info().items():
        assert recognised(name, held_out) == info
        assert info.higher_is_better is not name.startswith("loss")
    assert BitsPerDim.declared("bits_per_dim", {}) is not None


@pytest.mark.parametrize("name", NAMES)
def test_nobody_guesses_from_a_name(name):
    drawn = Protocol({"extractor.name": "digits", "sampler._target_": "difflab.samplers.DDIM"})
    assert recognised(f"{name}_digits", drawn) is None
    assert recognised(name, drawn) is None
    assert recognised("feature_distance_digits", drawn) is None  # without the field that only this metric has
    found = Measurement(name, 0.5, 10, drawn)
    with pytest.raises(ValueError, match=rf"A/results.json does not say whether a higher {name} is better"):
        declared(found, None, "A/results.json")
    assert declared(found, MetricInfo(True), "A/results.json").info == MetricInfo(True)


def test_a_metric_without_a_declaration_cannot_be_made():
    with pytest.raises(TypeError, match=r"abstract method '?info"):
        Undeclared()


def test_results_of_earlier_versions_have_what_their_metrics_declare():
    results = Results.from_json(EARLIER.read_text(encoding="utf-8"), EARLIER)
    ways = {m.metric: m.info.direction for m in results.measurements if m.info}
    assert len(ways) == len(results.measurements) == 15
    higher = {"is", "precision", "recall", "precision_fp16", "recall_fp16", "density", "coverage"}
    assert {name for name, way in ways.items() if way == "higher"} == {f"{stem}_digits" for stem in higher}
    assert {name for name, way in ways.items() if not way} == {"is_digits_std", "kd_digits_std"}
    assert Results.from_json(results.to_json()) == results
    rows = json.loads(EARLIER.read_text(encoding="utf-8"))["measurements"]
    assert [m.protocol.fingerprint for m in results.measurements] == [row["fingerprint"] for row in rows]


def test_a_distance_of_an_earlier_version_that_rounding_carried_below_0_lies_in_its_interval():
    content = json.loads(EARLIER.read_text(encoding="utf-8"))
    content["measurements"][0] |= {"value": -5e-13, "std_error": 0.2, "interval_95": [0.0, 0.4186]}
    (found, *_) = Results.from_json(json.dumps(content)).measurements
    low, high = found.interval()
    assert low <= found.value <= high
    assert found.value == 0 == found.info.bounds[0]


def test_what_is_written_is_json_and_says_why_there_is_no_number():
    info, protocol = MetricInfo(True, (0.0, 1.0)), Protocol.of({"guidance": {"threshold": math.inf, "low": -math.inf}})
    found = [
        Measurement.of("realism", math.nan, 10, protocol, info, 0.1, 20),
        Measurement.of("accuracy", 3.2, 10, protocol, info),
        Measurement.of("vendi", 1 + 1e-12, 10, protocol, info, math.nan, 20),
    ]
    text = Results(found, {"bits_per_dim": {"steps": {"vb": [math.nan]}}}).to_json()
    rows = strict(text)["measurements"]
    assert [row["value"] for row in rows] == [None, None, 1.0]
    assert [row.get("why") for row in rows] == [
        "the metric gave nan",
        "the metric gave 3.2, outside of its bounds 0 .. 1",
        None,
    ]
    assert rows[0]["info"] == {"higher_is_better": True, "bounds": [0.0, 1.0], "unit": "", "ratio": False}
    back = Results.from_json(text)
    assert [m.why for m in back.measurements] == [m.why for m in found]
    assert math.isnan(back["realism"].value)
    assert back["vendi"] == found[2]
    assert back["vendi"].protocol.fields == {"guidance.low": -math.inf, "guidance.threshold": math.inf}


def test_files_with_nan_are_read_on():
    content = json.loads(EARLIER.read_text(encoding="utf-8"))
    content["measurements"][0] |= {"value": math.nan, "interval_95": [math.nan, math.nan]}
    (found, *_) = Results.from_json(json.dumps(content)).measurements
    assert math.isnan(found.value)
    assert found.why == "nan was written in its place"


def test_an_open_bound_is_null():
    info = MetricInfo(False, ratio=True)
    assert strict(json.dumps(info.to_json()))["bounds"] == [0.0, None]
    assert MetricInfo.read(info.to_json(), "x") == info
    assert MetricInfo.read({"higher_is_better": True}, "x").bounds == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (True, "realism = True: expected {higher_is_better: true}"),
        ({"unit": "dB"}, "expected {higher_is_better: true}"),
        ({"higher_is_better": "yes"}, "realism.higher_is_better = 'yes'"),
        ({"higher_is_better": True, "better": 1}, "and if known bounds, unit, ratio, label"),
        ({"higher_is_better": True, "bounds": [1, 0]}, "the lowest value comes first"),
        ({"higher_is_better": True, "bounds": 3}, "realism.bounds = 3"),
        ({"higher_is_better": True, "bounds": [0, 1], "ratio": True}, "a ratio needs bounds"),
    ],
)
def test_a_wrong_statement_is_named(node, message):
    with pytest.raises(ValueError, match=r"^realism.*") as error:
        MetricInfo.read(node, "realism")
    assert message in str(error.value)
