"""No NaN and no infinity in what difflab writes."""

import ast
import json
import math

import pytest

from difflab.reading import json as written_json
from source import FILES, name, parsed

KEYS = {"config/arguments.py", "studies/planning/planning.py", "config/values.py"}
"""Their JSON is the text of a key, of an override or of a message, and stands in no file."""


def test_numbers_that_are_none_are_null_and_settings_come_back():
    content = {"a": [1.5, math.nan, (math.inf,)], "b": {"c": -math.inf}}
    assert written_json.dumps(content) == '{"a": [1.5, null, [null]], "b": {"c": null}}'
    words = written_json.in_words(content)
    assert json.dumps(words, allow_nan=False) == '{"a": [1.5, "NaN", ["Infinity"]], "b": {"c": "-Infinity"}}'
    back = written_json.restored(words)
    assert back["b"] == content["b"]
    assert math.isnan(back["a"][1])


def test_nothing_is_written_in_another_way():
    wrong = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump")):
                continue
            said = {word.arg: word.value for word in node.keywords}
            is_hashed = "sort_keys" in said
            if not is_hashed and "allow_nan" not in said and name(path) not in KEYS:
                wrong.append(f"{name(path)}:{node.lineno}")
    assert not wrong, f"write by difflab.reading.json: {', '.join(wrong)}"


def test_the_log_of_a_run_is_json(tmp_path):
    from difflab.runs import read_metrics
    from difflab.runs.metrics_log import MetricsLog
    from difflab.studies.history import read_history

    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.log_metrics({"train/loss": 0.5, "eval/online/fid@10k": math.inf}, step=1)
    log.log_metrics({"train/loss": math.nan}, step=2)
    log.save()
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    log.rewind(2)
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == text
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[0]["train/loss"] == 0.5
    assert math.isnan(rows[1]["train/loss"])
    steps, values = read_history(tmp_path).curve("train/loss")
    assert (steps.tolist(), values.tolist()) == ([1.0], [0.5])
