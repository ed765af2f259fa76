"""Uploads of offline runs: what `wandb sync` is told, what is believed of what it says, and that W&B gets every step once."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from difflab.runs import MetricsLog, RunDirectory, RunLock
from difflab.runs.wandb.description import Said
from difflab.runs.wandb.mirror import weights_and_biases
from difflab.runs.wandb.offline_file import holds_a_run, last_mirrored_step, records
from difflab.runs.wandb.service import WandbError
from difflab.runs.wandb.sync import EARLIER, FAILED, RUNNING, UPLOADED, sync
from wandb_stub import serving

FAKE = """#!/bin/sh
"exec" {python!r} "$0" "$@"
import json, os, sys, time
from pathlib import Path
piece = Path(sys.argv[-1])
told = {{"arguments": sys.argv[1:], "mode": os.environ.get("WANDB_MODE"), "silent": os.environ.get("WANDB_SILENT")}}
with open({log!r}, "a") as log:
    log.write(json.dumps(told) + "\\n")
(file,) = piece.glob("*.wandb")
mark = file.with_name(file.name + ".synced")
do = (piece / "do").read_text() if (piece / "do").exists() else "upload"
if do == "refuse metrics":
    print("wandb: ERROR [st/run] Fatal error while uploading data.", file=sys.stderr)
if do == "refuse pictures":
    logs = Path(os.environ["WANDB_DIR"], "wandb", "logs")
    logs.mkdir(parents=True)
    lost = {{"level": "ERROR", "msg": "PUT a.png giving up after 2 attempt(s)\\nretrying", "task": "DefaultUploadTask{{}}"}}
    (logs / "debug-sync.1.log").write_text(json.dumps({{"level": "INFO", "msg": "x"}}) + "\\n" + json.dumps(lost) + "\\n")
if do == "hang":
    time.sleep(60)
if do == "crash":
    print("no space left on device")
    sys.exit(1)
if do != "nothing":
    mark.touch()
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """A run of a study with two starts, as the mirror leaves it: steps 0 .. 4 and 5 .. 9."""
    run = RunDirectory(tmp_path_factory.mktemp("recorded") / "ablation" / "adagn" / "aaaaaaaaaa")
    for start in (0, 5):
        mirror = weights_and_biases("ablation", None, "offline", run, run.path.name, "ablation/adagn", "adagn-seed3")
        mirror.log_hyperparams({"seed": 3, "run": {"name": "ablation/adagn"}})
        log = MetricsLog(run.metrics)
        for step in range(start, start + 5):
            log.log_metrics({"train/loss": 1.0 / (1 + step)}, step=step)
        log.save()
        mirror.finalize("success")
    first, second = pieces(run.path)
    second.rename(
        second.with_name("offline-run-20990101_000000-aaaaaaaaaa")
    )  # starts within one second have one name else
    assert first.name < "offline-run-2099"
    return run.path


@pytest.fixture
def study(recorded, tmp_path) -> Path:
    """runs/ablation with adagn/aaaaaaaaaa (two starts) and addgn/bbbbbbbbbb (the first of them)."""
    links = shutil.ignore_patterns("latest-run", "debug*.log")
    shutil.copytree(recorded, tmp_path / "ablation/adagn/aaaaaaaaaa", ignore=links)
    shutil.copytree(recorded, tmp_path / "ablation/addgn/bbbbbbbbbb", ignore=links)
    shutil.rmtree(pieces(tmp_path / "ablation/addgn/bbbbbbbbbb")[1])
    return tmp_path / "ablation"


@pytest.fixture(autouse=True)
def server(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serving() as stub:
        monkeypatch.setenv("WANDB_BASE_URL", stub.url)
        yield stub


@pytest.fixture
def fake(tmp_path):
    """A `wandb` that does what the file `do` of a piece says; calls() is what it was told."""
    program, log = tmp_path / "wandb", tmp_path / "told.jsonl"
    program.write_text(FAKE.format(python=sys.executable, log=str(log)), encoding="utf-8")
    program.chmod(0o755)

    def calls() -> list[dict]:
        found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        log.unlink(missing_ok=True)
        return found

    return (str(program),), calls


def pieces(run: Path) -> list[Path]:
    return sorted(path for path in (run / "wandb").glob("offline-run-*"))


def sync_with(command, root: Path, **options):
    told = []
    uploads = sync(root, told.append, command=command, workers=1, **options)
    assert sorted(told, key=lambda run: run.run) == list(uploads.runs)
    return uploads


def outcomes(uploads) -> dict[str, str]:
    return {run.run.name: run.outcome for run in uploads.runs}


def test_a_run_of_a_study_is_a_replicate_of_its_row(recorded):
    for piece in pieces(recorded):
        (file,) = piece.glob("*.wandb")
        found = [record for _, record in records(file)]
        last = [record.run for record in found if record.WhichOneof("record_type") == "run"][-1]
        config = {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for record in found
            for item in (*record.run.config.update, *record.config.update)
        }
        assert (last.project, last.run_group, last.job_type) == ("ablation", "adagn", "train")
        assert list(last.tags) == ["ablation", "adagn", "seed 3"]
        assert (config["study"], config["row"], config["seed"]) == ("ablation", "adagn", 3)


def test_a_run_outside_of_a_study_keeps_its_name_as_group(tmp_path):
    mirror = weights_and_biases("difflab", None, "disabled", RunDirectory(tmp_path), "c" * 10, "iddpm/linear", "x")
    params = {"seed": 0, "run": {"name": "iddpm/linear"}}
    assert mirror.description.labels(params) == {}
    assert mirror.description.settings(params, Said(), online=False)["group"] == "iddpm/linear"


def test_every_piece_goes_up_once_and_in_order(study, fake, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    command, calls = fake
    assert outcomes(sync_with(command, study, entity="lab")) == {"aaaaaaaaaa": UPLOADED, "bbbbbbbbbb": UPLOADED}
    told = calls()
    runs = [study / "adagn/aaaaaaaaaa", study / "addgn/bbbbbbbbbb"]
    assert [call["arguments"] for call in told] == [
        ["sync", "--entity", "lab", str(piece)] for run in runs for piece in pieces(run)
    ]
    assert {(call["mode"], call["silent"]) for call in told} == {(None, None)}

    assert outcomes(sync_with(command, study)) == {"aaaaaaaaaa": EARLIER, "bbbbbbbbbb": EARLIER}
    assert calls() == []

    later = pieces(runs[0])[-1]
    started_again = later.with_name("offline-run-20990202_000000-aaaaaaaaaa")
    shutil.copytree(later, started_again, ignore=shutil.ignore_patterns("*.synced"))
    uploads = sync_with(command, study)
    assert [call["arguments"] for call in calls()] == [["sync", str(started_again)]]
    assert outcomes(uploads) == {"aaaaaaaaaa": UPLOADED, "bbbbbbbbbb": EARLIER}
    assert uploads.runs[0].uploaded == (started_again.name,)
    assert str(uploads) == "2 runs: 1 uploaded, 1 uploaded earlier"


@pytest.mark.parametrize(
    ("do", "problem"),
    [
        ("refuse metrics", "Fatal error while uploading data."),  # though it marks the file and exits with 0
        ("refuse pictures", "PUT a.png giving up after 2 attempt(s)"),  # though it says nothing
        ("nothing", "did not say that it is done"),
        ("crash", "no space left on device"),
        ("hang", "not done after 8 s"),
    ],
)
def test_a_failure_is_said_stops_only_its_run_and_is_tried_again(do, problem, study, fake):
    command, calls = fake
    first, second = pieces(study / "adagn/aaaaaaaaaa")
    (first / "do").write_text(do, encoding="utf-8")
    uploads = sync_with(command, study, timeout=8 if do == "hang" else 120)
    assert outcomes(uploads) == {"aaaaaaaaaa": FAILED, "bbbbbbbbbb": UPLOADED}
    assert problem in uploads.failed[0].problem
    assert first.name in uploads.failed[0].problem
    assert str(second) not in [call["arguments"][-1] for call in calls()]
    assert "the same command tries those that failed again" in str(uploads)
    (first / "do").unlink()
    assert outcomes(sync_with(command, study)) == {"aaaaaaaaaa": UPLOADED, "bbbbbbbbbb": EARLIER}
    assert [call["arguments"][-1] for call in calls()] == [str(first), str(second)]


def test_a_running_run_is_left_for_later(study, fake):
    command, calls = fake
    lock = RunLock(study / "adagn/aaaaaaaaaa")
    lock.acquire()
    uploads = sync_with(command, study)
    assert outcomes(uploads) == {"aaaaaaaaaa": RUNNING, "bbbbbbbbbb": UPLOADED}
    assert [Path(call["arguments"][-1]).parents[1].name for call in calls()] == ["bbbbbbbbbb"]
    lock.release()
    assert outcomes(sync_with(command, study)) == {"aaaaaaaaaa": UPLOADED, "bbbbbbbbbb": EARLIER}


def test_two_syncs_at_once_would_send_twice(study, fake):
    command, calls = fake
    with FileLock(study / ".sync.lock"), pytest.raises(WandbError, match="another sync"):
        sync_with(command, study)
    assert calls() == []


def test_a_start_that_was_killed_before_it_wrote_anything_holds_up_nothing(study, fake):
    command, calls = fake
    first, second = pieces(study / "adagn/aaaaaaaaaa")
    (file,) = first.glob("*.wandb")
    for size in (0, 7):
        file.write_bytes(file.read_bytes()[:size])
        assert not holds_a_run(file)
    sync_with(command, study / "adagn")
    assert [call["arguments"][-1] for call in calls()] == [str(second)]


def test_nothing_is_done_without_a_login_or_a_way_out(study, fake, monkeypatch, tmp_path):
    command, calls = fake
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(WandbError, match="cannot be reached"):
        sync_with(command, study)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(WandbError, match="wandb login"):
        sync_with(command, study)
    assert calls() == []


def test_no_offline_runs(tmp_path):
    assert "there are no offline runs" in str(sync_with(("false",), tmp_path / "none"))


def test_the_real_command_sends_every_step_once(study, server):
    """Of the second start the last record is torn, as by a kill."""
    run = study / "adagn/aaaaaaaaaa"
    (file,) = pieces(run)[1].glob("*.wandb")
    ends = [end for end, _ in records(file)]
    file.write_bytes(file.read_bytes()[: ends[-1] - 3])
    for _ in range(2):
        uploads = sync(run, lambda done: None)
        assert not uploads.failed, uploads.failed
        assert [line["_step"] for line in server.history["aaaaaaaaaa"]] == list(range(10))
    assert last_mirrored_step(run / "wandb") == 9


def test_what_the_real_command_could_not_send_is_sent_again(study, server, monkeypatch):
    """It exits with 0 and marks the file in both cases."""
    for channel in ("STREAM", "TRANSFER"):
        monkeypatch.setenv(f"WANDB_X_FILE_{channel}_RETRY_MAX", "1")
        monkeypatch.setenv(f"WANDB_X_FILE_{channel}_RETRY_WAIT_MIN_SECONDS", "0.1")
        monkeypatch.setenv(f"WANDB_X_FILE_{channel}_RETRY_WAIT_MAX_SECONDS", "0.1")
    run = study / "addgn/bbbbbbbbbb"
    for refused, problem in (("metrics", "Fatal error while uploading"), ("files", "giving up after")):
        server.refuses = {refused}
        (failed,) = sync(run, lambda done: None).failed
        assert problem in failed.problem
    server.refuses = set()
    server.history.clear()
    assert outcomes(sync(run, lambda done: None)) == {"bbbbbbbbbb": UPLOADED}
    assert [line["_step"] for line in server.history["aaaaaaaaaa"]] == list(range(5))
