"""Results on disk: whole, and not to be changed by hand."""

import json
import math

import pytest
from scipy.stats import t as student

from difflab.evaluation import Measurement, Results
from difflab.metrics import MetricInfo, Protocol

PROTOCOL = Protocol.of({"metric": {"name": "fid"}, "samples": 100, "sampler": {"eta": 0.5, "grid": None}})
RESULTS = Results(
    [Measurement("fid", 12.5, 100, PROTOCOL, std_error=0.5, replicates=20), Measurement("is", 9.0, 100, PROTOCOL)],
    {"run": "abc", "step": 3},
)


def test_they_come_back_as_they_were():
    assert Results.from_json(RESULTS.to_json()) == RESULTS


def test_the_interval_is_students():
    low, high = RESULTS["fid"].interval(0.9)
    assert (low + high) / 2 == pytest.approx(12.5)
    assert (high - low) / 2 == pytest.approx(0.5 * student.ppf(0.95, 19))
    assert RESULTS["is"].interval() is None


def test_an_interval_ends_where_no_value_can_lie():
    bounds = [(0.0, 1.0), (0.0, math.inf), (-math.inf, math.inf)]
    infos = [MetricInfo(higher_is_better=True, bounds=each) for each in bounds]
    found = [Measurement("x", 0.9, 10, PROTOCOL, 0.5, 20, info).interval() for info in infos]
    assert found[0] == (0.0, 1.0)
    assert found[1][0] == 0.0 < 1.5 < found[1][1]
    assert found[2][0] < 0


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="no kid among fid, is"):
        RESULTS["kid"]


def test_two_measurements_of_one_name_are_not_confused():
    other = Measurement("fid", 11.0, 50, Protocol.of({"samples": 50}))
    with pytest.raises(KeyError, match="fid was measured under 2 protocols"):
        Results([*RESULTS.measurements, other])["fid"]


def test_an_edited_protocol_is_noticed():
    content = json.loads(RESULTS.to_json())
    content["measurements"][0]["protocol"]["samples"] = 50000
    with pytest.raises(ValueError, match=r"there.json: the protocol of fid .* changed by hand"):
        Results.from_json(json.dumps(content), "there.json")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"measurements": [{}], "subject": {}}'])
def test_another_file_is_refused(text):
    with pytest.raises(ValueError, match=r"there\.json is no file of results"):
        Results.from_json(text, "there.json")
