"""Lines of metrics.jsonl as they come, also while they come."""

import json
import threading

from difflab.runs import metrics_file as metrics_tail
from difflab.runs.metrics_file import MetricsTail


def test_lines_that_come_during_a_look_are_for_the_next(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 1.0}\n', encoding="utf-8")
    tail, real = MetricsTail(path, -1), metrics_tail.rows_from_end

    def writes(*arguments):
        found = list(real(*arguments))
        with path.open("a", encoding="utf-8") as file:
            file.write('{"step": 2, "loss": 0.5}\n{"step": 3, "loss": 0.25}\n')
        return iter(found)

    monkeypatch.setattr(metrics_tail, "rows_from_end", writes)
    assert [row["step"] for row in tail.new()] == [1]
    monkeypatch.setattr(metrics_tail, "rows_from_end", real)
    assert [row["step"] for row in tail.new()] == [2, 3]


def test_nothing_is_lost_beside_a_writer(tmp_path):
    path, steps = tmp_path / "metrics.jsonl", 3000
    path.touch()

    def write():
        with path.open("a", encoding="utf-8") as file:
            for step in range(steps):
                file.write(json.dumps({"step": step, "loss": 1.0}) + "\n")
                file.flush()

    writer, tail, seen = threading.Thread(target=write), MetricsTail(path, -1), []
    writer.start()
    while writer.is_alive():
        seen += [row["step"] for row in tail.new()]
    seen += [row["step"] for row in tail.new()]
    assert seen == list(range(steps))
