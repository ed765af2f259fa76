"""A log of metrics that is long, torn, or has in it what nobody expects."""

import json
import random
import tracemalloc

import pytest

from difflab.runs import MetricsLog, RunDirectory, metrics_file, read_metrics
from difflab.runs.metrics_file import end_of_step, lines, lines_from_end, row_of, rows_from_end
from difflab.studies import history
from difflab.studies.history import read_history


def own(caplog) -> list[str]:
    """What difflab has logged: threads that an earlier test has left behind may speak, too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("difflab")]


GOOD = b'{"step": 5, "train/loss": 0.5}\n'

STRANGE = {
    "binary rubbish": b"\x00\xff\xfe\x80" * 50,
    "no step": b'{"train/loss": 1.0}',
    "a step of a wrong type": b'{"step": "7", "train/loss": 1.0}',
    "a step that is true": b'{"step": true}',
    "a broken number as a step": b'{"step": 7.5}',
    "a step beyond all": b'{"step": 1' + b"0" * 40 + b"}",
    "a text as a value": b'{"step": 7, "train/loss": "low"}',
    "a huge number": b'{"step": 7, "train/loss": 1' + b"0" * 400 + b"}",
    "too many digits": b'{"step": 7, "train/loss": ' + b"9" * 5000 + b"}",
    "a list": b"[1, 2]",
    "brackets": b"[" * 100_000,
    "a huge line": b"x" * (metrics_file.LONGEST + 10),
    "a torn line": b'{"step": 7, "train/lo',
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_strange_line_is_left_out_by_all_readers_and_kept_by_a_resume(strange, tmp_path, caplog):
    run = RunDirectory(tmp_path)
    run.metrics.write_bytes(GOOD + strange + b"\n" + GOOD.replace(b"5", b"9") + strange + b"\n")
    assert [row["step"] for row in read_metrics(run.metrics)] == [5, 9]
    (warned,) = own(caplog)
    assert "2 of its lines hold no metrics (the first at byte 31)" in warned
    assert read_history(tmp_path).steps.tolist() == [5, 9]
    assert run.last_scores() == {}
    caplog.clear()
    log = MetricsLog(run.metrics)
    log.rewind(9)
    assert run.metrics.read_bytes() == GOOD + strange + b"\n" + GOOD.replace(b"5", b"9")
    before = GOOD + strange + b"\n" + GOOD.replace(b"5", b"9") + strange + b"\n"
    assert (tmp_path / "metrics.strange").read_bytes() == before
    assert len(own(caplog)) == 1
    log.log_metrics({"train/loss": 0.125}, step=10)
    log.save()
    assert [row["step"] for row in read_metrics(run.metrics)] == [5, 9, 10]


@pytest.mark.parametrize("end", [b'{"step": 7, "train/lo', b'{"st', b"{"])
def test_what_a_kill_has_torn_goes_without_a_word(end, tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(GOOD + end)
    MetricsLog(path).rewind(100)
    assert path.read_bytes() == GOOD
    assert not own(caplog)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_last_line_that_lacks_its_end_alone_stays(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(GOOD[:-1])
    MetricsLog(path).rewind(5)
    assert path.read_bytes() == GOOD


def test_both_ends_tell_the_same_lines(tmp_path, monkeypatch):
    chosen, path = random.Random(0), tmp_path / "lines"
    pieces = [b"", b"x", b"y" * 50, b'{"step": 3}', b"\xff\x00", b"z" * 70]
    for _ in range(300):
        monkeypatch.setattr(metrics_file, "_BLOCK", chosen.choice([1, 3, 7, 64]))
        monkeypatch.setattr(metrics_file, "LONGEST", chosen.choice([40, 200]))
        content = b"\n".join(chosen.choices(pieces, k=chosen.randrange(9)))
        path.write_bytes(content)
        forward = [(begin, end, line[:-1][:40]) for begin, end, line in lines(path) if content[end - 1 : end] == b"\n"]
        backward = [(begin, end, line[:40]) for begin, end, line in lines_from_end(path)]
        assert [place[:2] for place in forward] == [place[:2] for place in reversed(backward)], content
        assert all(
            a[2].startswith(b[2]) or b[2].startswith(a[2]) for a, b in zip(forward, reversed(backward), strict=True)
        )


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> RunDirectory:
    """100,000 lines, an evaluation at every thousandth."""
    run = RunDirectory(tmp_path_factory.mktemp("long"))
    with run.metrics.open("w", encoding="utf-8") as file:
        for step in range(10, 1_000_010, 10):
            scores = {"eval/a/fd": 1 / step} if step % 10_000 == 0 else {}
            file.write(json.dumps({"step": step, "train/loss": 2.0, "train/images": step * 8.0} | scores) + "\n")
    return run


def test_a_long_log_costs_no_memory(long, monkeypatch):
    """At `info`, a resume, a search for the last speed, and a report; all of it in memory would be 40 MB."""
    parsed = []
    monkeypatch.setattr(metrics_file.json, "loads", lambda line, loads=json.loads: parsed.append(1) or loads(line))
    tracemalloc.start()
    assert long.last_scores() == {"eval/a/fd": 1e-6}
    cut = end_of_step(long.metrics, 999_900)
    with long.metrics.open("rb") as file:
        file.seek(cut)
        assert file.readline().startswith(b'{"step": 999910,')
    assert next(rows_from_end(long.metrics))["step"] == 1_000_000
    assert len(parsed) < 50
    assert sum(row_of(line) is not None for _, _, line in lines(long.metrics)) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


def test_a_long_log_is_thinned_and_keeps_its_evaluations_and_its_end(long):
    found = read_history(long.path)
    assert len(found.steps) <= history.LINES + 100
    steps, scores = found.curve("eval/a/fd")
    assert steps.tolist() == list(range(10_000, 1_000_010, 10_000))
    assert scores[-1] == 1e-6
    assert found.steps[-1] == 1_000_000
    assert found.last("train/loss") == 2.0
