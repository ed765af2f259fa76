"""Turns are taken in turn, and a record is read as it was written."""

import gc
import json
import time

import pytest
from benchmarks.contest import clocked, paired_ratios, rate, take_turns
from benchmarks.record import Goal, Measurement, Record, machine, read, versions


def test_everybody_has_a_turn_in_every_round_and_nobody_always_follows_the_same():
    order = []

    def contender(name):
        return lambda: order.append(name) or float(len(order))

    found = take_turns({name: contender(name) for name in "abc"}, rounds=3, warm_up=1)
    rounds = ["".join(order[i : i + 3]) for i in range(0, 12, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert {one[0] for one in rounds[1:]} == {"a", "b", "c"}
    # what was returned in the warm-up is not there, and round i is round i of all
    assert all(3 * i + 3 < found[name][i] <= 3 * i + 6 for name in "abc" for i in range(3))
    with pytest.raises(ValueError, match="at least one round"):
        take_turns({"a": lambda: 1.0}, rounds=0)


def test_garbage_of_a_turn_is_gone_before_the_next_and_nothing_stays_frozen():
    class Circle:
        alive = 0

        def __init__(self):
            self.me = self
            Circle.alive += 1

        def __del__(self):
            Circle.alive -= 1

    before = []

    def turn():
        before.append(Circle.alive)
        Circle()
        return 1.0

    frozen = gc.get_freeze_count()
    take_turns({"a": turn, "b": turn}, rounds=2)
    assert before == [0] * 6
    assert gc.get_freeze_count() <= frozen


def test_the_clock():
    assert 0.02 <= clocked(lambda: time.sleep(0.02), times=3)() < 60
    assert rate(lambda: time.sleep(0.02), units=10)() <= 500
    assert paired_ratios([2, 9], [1, 3]) == [2, 3]
    with pytest.raises(ValueError):
        paired_ratios([1, 2], [1])


def test_a_record_is_read_as_it_was_written(tmp_path):
    measurement = Measurement(
        "training",
        "small",
        "images/s",
        True,
        {"a": [1.1, 2.2], "b": [1 / 3, 2.0]},
        "b",
        {"a": {"parameters": 3}},
        (Goal("a", "b", 1.2),),
    )
    record = Record("2026-11-22", "command", machine(), versions(), (0.1, 0.2), (measurement,))
    path = tmp_path / "results" / "record.json"
    record.write(path)
    assert read(path) == record
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]
    assert record.versions["torch"]


@pytest.mark.parametrize("change", [{"format": 2}, {"surprise": 1}, {"measurements": [{}]}, {"load": None}])
def test_what_is_no_record_is_refused(tmp_path, change):
    path = tmp_path / "record.json"
    Record("2026-11-22", "command", {}, {}, (0, 0), ()).write(path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ValueError, match=r"record\.json is not a result of `python -m benchmarks`"):
        read(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is not a result"):
        read(path)


def test_values_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="equally many values"):
        Measurement("training", "small", "s", False, {"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="no values of c"):
        Measurement("training", "small", "s", False, {"a": [1.0]}, "c")
    with pytest.raises(ValueError, match="no values of d"):
        Measurement("training", "small", "s", False, {"a": [1.0]}, goals=(Goal("a", "d", 1.0),))
