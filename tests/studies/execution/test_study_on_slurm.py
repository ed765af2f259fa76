"""A study on a real SLURM cluster: trained, evaluated after it, requeued, failed, cancelled."""

import os
import time

import pytest
from planned import folder_of, identified, plan

from difflab.cluster import SlurmJob
from difflab.runs import RunDirectory
from difflab.studies.execution import SlurmArray, ask, launch, states
from difflab.studies.execution.queue import read_submissions
from running import SMALL
from slurm_cluster import Cluster

pytestmark = pytest.mark.slow

LONG = [*SMALL, "trainer.max_steps=100", "trainer.log_every_n_steps=5", "checkpoint.every=10", "eval.every=100"]
MEASURE = ("num_samples=64", "batch_size=32", "accelerator=cpu", "replicates=0", "metric=[frechet]")


def now(study):
    return {f"{cell.row}{cell.seed}": cell.state for cell in states(study, ask(study.root))}


def until(study, ready, seconds=240.0):
    deadline = time.monotonic() + seconds
    while not ready(now(study)):
        logs = "".join(
            f"\n{path}:\n{path.read_text(encoding='utf-8')[-3000:]}"
            for path in folder_of(study).log("", 0).parent.iterdir()
        )
        assert time.monotonic() < deadline, f"{now(study)}{logs}"
        time.sleep(0.5)


def test_a_study_as_arrays(cluster: Cluster, tmp_path, monkeypatch):
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    rows = {
        "a": LONG,
        "b": [*LONG, "network.dropout=0.05"],
        "wrong": [*LONG, "network.widht=1"],
        "late": [*LONG, "network.dropout=0.07"],
    }
    study = plan(tmp_path, rows, seeds=(3,), steps=100, shared=("c",), evaluation=MEASURE)
    study = identified_but(study, "wrong")
    folder = str(tmp_path / "unused")
    one = SlurmJob(1, 0, 1, 1, None, "10", 60, "default", None, folder, [], False, False)
    array = SlurmArray(one, one, limit=2)
    said = launch(study, array)
    assert [line.partition(": ")[2] for line in said.said] == [
        "4 trainings",
        "their evaluations, each after its training",
    ]
    train, evaluate = read_submissions(folder_of(study))

    # the first task has the array's own number: what is meant for it must not reach the others
    until(study, lambda found: _checkpoints(study, 0))
    cluster.run("scancel", "--signal=USR1", f"{train.job}_0")
    until(study, lambda found: _outcome(study, 0) == "interrupted")
    assert now(study)["late3"] in ("queued", "training")
    again = launch(study, array)
    assert "wrong" not in [one.row for one in again.submitted]
    assert again.submitted == []

    until(study, lambda found: [found[f"{row}3"] for row in "abc"] == ["done"] * 3 and found["wrong3"] == "failed")
    (wrong,) = (cell for cell in states(study, ask(study.root)) if cell.row == "wrong")
    assert wrong.error.startswith("error: ")
    first, second = RunDirectory(study.trainings[0].directory).starts()
    assert (first["outcome"], second["outcome"]) == ("interrupted", "complete")
    assert second["from_step"] == first["to_step"]
    until(study, lambda found: found["late3"] == "done")
    # the evaluation of what failed does not wait for ever
    jobs = ("squeue", "--noheader", "--array", "--jobs", evaluate.job)
    until(study, lambda found: cluster.run(*jobs).strip() == "")


def test_cancelled_arrays_go_on_when_launched(cluster: Cluster, tmp_path, monkeypatch):
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    study = identified(plan(tmp_path, {"a": [*LONG, "trainer.max_steps=4000"]}, steps=4000, evaluation=MEASURE))
    one = SlurmJob(1, 0, 1, 1, None, "10", 60, "default", None, str(tmp_path), [], False, False)
    array = SlurmArray(one, one)
    launch(study, array)
    until(study, lambda found: found["a0"] == "training" and _checkpoints(study, 0))
    assert "2 tasks" in array.cancel(folder_of(study).root)[0]
    until(study, lambda found: found["a0"] == "interrupted")
    assert array.cancel(folder_of(study).root) == []
    again = launch(study, array)
    assert [(one.what, one.why) for one in again.submitted] == [("train", "interrupted")]
    until(study, lambda found: len(RunDirectory(study.trainings[0].directory).starts()) == 2)
    array.cancel(folder_of(study).root)
    until(study, lambda found: found["a0"] == "interrupted")
    assert os.environ["SLURM_CONF"].startswith(str(cluster.state))


def identified_but(study, row):
    from dataclasses import replace

    known = [training for training in study.trainings if not training.name.endswith(row)]
    found = {training.number: training for training in identified(replace(study, trainings=tuple(known))).trainings}
    return replace(study, trainings=tuple(found.get(t.number, t) for t in study.trainings))


def _checkpoints(study, number):
    return list((study.trainings[number].directory / "checkpoints").glob("step-*.ckpt"))


def _outcome(study, number):
    starts = RunDirectory(study.trainings[number].directory).starts()
    return starts[0].get("outcome", "") if starts else ""
