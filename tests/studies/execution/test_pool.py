"""The local pool: nothing twice, nothing lost, and what ends a task early."""

import os
import platform
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from planned import places, plan
from stand_in import install

from difflab.runs import RunDirectory
from difflab.studies.execution import Places, Pool, ask, launch, retry, states
from difflab.studies.execution.pool_file import PoolFile
from difflab.studies.execution.record import read_record
from difflab.studies.execution.supervisor import Supervisor, surroundings
from difflab.studies.execution.tasks import freeze, read_tasks
from running import SMALL


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    install(tmp_path / "python")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "python"))


@pytest.fixture
def ending(tmp_path):
    """Whatever a test leaves running is ended."""
    yield
    Pool(grace=0.5).cancel(tmp_path / "study")


class Here(Pool):
    """A pool whose supervisor is this process."""

    def submit(self, root, trainings, evaluations):
        PoolFile(self.jobs, waiting=[task.key for task in (*trainings, *evaluations)]).write(Places(root))
        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        Supervisor(root).run()
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
        return []


def now(plan):
    return {f"{cell.row}{cell.seed}": cell.state for cell in states(plan, ask(plan.root))}


def until(condition, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def starts(root: Path) -> list[str]:
    return (root / "starts").read_text(encoding="utf-8").splitlines() if (root / "starts").exists() else []


def test_each_training_is_followed_by_its_evaluations(tmp_path, stand_in):
    study = plan(tmp_path, {"a": [], "b": []}, seeds=(0, 1), shared=("c",))
    found = launch(study, Here(2))
    assert [one.why for one in found.submitted] == ["missing"] * 4
    assert set(now(study).values()) == {"done"}
    counts = [line.split()[0] for line in starts(tmp_path)]
    assert (counts.count("train"), counts.count("evaluate")) == (4, 6)
    again = launch(study, Here(2))
    assert (again.submitted, {one.why for one in again.skipped}) == ([], {"done"})


def test_a_row_that_is_added_is_all_that_is_run_and_numbers_stay(tmp_path, stand_in):
    launch(plan(tmp_path, {"b": []}), Here())
    assert read_tasks(tmp_path / "study")["b0"].number == 0
    wider = plan(tmp_path, {"a": [], "b": []}, shared=("c",))
    assert [one.training for one in launch(wider, Here()).submitted] == ["a0"]
    assert {key: task.number for key, task in read_tasks(tmp_path / "study").items()} == {"a0": 1, "b0": 0}
    launch(plan(tmp_path, {"d": []}), Here())
    freeze(wider, {})
    assert {key: task.number for key, task in read_tasks(tmp_path / "study").items()} == {"a0": 1, "b0": 0}
    extra = plan(tmp_path, {"b": [], "a": []}, shared=("e", "c"))
    assert [(one.training, one.what) for one in launch(extra, Here()).submitted] == [("b0", "evaluate")]
    assert len(starts(tmp_path)) == 2 + 3 + 2 + 2  # b; a with c; d; b with e and c


def test_interrupted_tasks_go_on_as_long_as_they_get_on(tmp_path, stand_in):
    study = plan(tmp_path, {"a": ["ways=status75,status75,status75,ok"], "b": ["ways=idle75"]})
    launch(study, Here())
    assert now(study) == {"a0": "done", "b0": "interrupted"}
    assert len([line for line in starts(tmp_path) if line.startswith("train")]) == 4 + 3


def test_failures_are_left_to_retry_and_divergence_to_an_override(tmp_path, stand_in):
    study = plan(tmp_path, {"a": ["ways=1,ok"], "b": ["ways=3,ok"], "c": []})
    launch(study, Here())
    found = {cell.row: cell for cell in states(study, ask(study.root))}
    assert [found[row].state for row in "abc"] == ["failed", "failed", "done"]
    assert found["a"].error == "RuntimeError: way 1"
    assert found["b"].diverged
    record = read_record(places(study).record("a0"))
    assert record
    assert (record.exit_code, record.error, record.where) == (1, "RuntimeError: way 1", platform.node())
    left = launch(study, Here())
    assert left.submitted == []
    assert "RuntimeError: way 1" in left.skipped[0].why
    first = retry(study, Here())
    assert [one.row for one in first.submitted] == ["a"]
    assert "divergence=go_back" in first.skipped[0].why
    second = retry(study, Here(), ["divergence=go_back"])
    assert [one.row for one in second.submitted] == ["b"]
    assert read_tasks(study.root)["b0"].arguments[-1] == "divergence=go_back"
    assert read_tasks(study.root)["a0"].arguments[-1] != "divergence=go_back"
    assert set(now(study).values()) == {"done"}


def test_a_failed_evaluation_is_begun_again_by_retry_alone(tmp_path, stand_in):
    bad = plan(tmp_path, {"a": []}, evaluation=("fail=1",))
    launch(bad, Here())
    (cell,) = states(bad, ask(bad.root))
    assert (cell.state, cell.error) == ("failed", "error: cannot evaluate")
    assert launch(bad, Here()).submitted == []
    assert [one.what for one in retry(plan(tmp_path, {"a": []}), Here()).submitted] == ["evaluate"]
    assert now(bad) == {"a0": "done"}


def test_tasks_share_processors_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [surroundings(0, jobs)["OMP_NUM_THREADS"] for jobs in (1, 3, 16)] == ["8", "2", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert surroundings(0, 2)["OMP_NUM_THREADS"] == "5"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,GPU-7")
    assert [surroundings(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["2", "5", "GPU-7", "2"]
    assert surroundings(0, 1)["CUDA_VISIBLE_DEVICES"] == "2,5,GPU-7"


def test_a_killed_supervisor_a_second_launch_and_cancel(tmp_path, stand_in, ending):
    """One story, since each supervisor takes seconds to begin."""
    study = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"], "c": ["ways=stubborn,ok"]})
    first = launch(study, Pool(1))
    assert "pool started" in first.said[0]
    until(lambda: now(study) == {"a0": "training", "b0": "queued", "c0": "queued"} and _step(study) == 7)
    supervisor = PoolFile.read(places(study)).pid
    assert os.getsid(supervisor) == supervisor != os.getsid(0)

    more = plan(tmp_path, {"a": ["ways=slow,ok"], "b": ["ways=slow,ok"], "c": ["ways=stubborn,ok"], "d": []})
    second = launch(more, Pool(1))
    assert "handed 1 tasks to the pool that is at work" in second.said[0]
    assert [one.why for one in second.skipped] == ["in the queue: pool"] * 3

    os.kill(supervisor, signal.SIGKILL)
    until(lambda: now(more)["b0"] == "missing")
    assert now(more)["a0"] == "training", "its task lives on"
    third = launch(more, Pool(3, grace=2))  # a takes one of the places
    assert [(one.row, one.what) for one in third.submitted] == [(row, "train") for row in "abcd"]
    until(lambda: now(more) == {"a0": "training", "b0": "training", "c0": "training", "d0": "queued"})
    until(lambda: len(starts(tmp_path)) >= 3)
    assert len(starts(tmp_path)) == 3, "a is not begun twice"
    assert "1 tasks that an earlier pool had left" in " ".join(Pool(2, grace=2).cancel(more.root))
    assert now(more) == {"a0": "interrupted", "b0": "interrupted", "c0": "interrupted", "d0": "missing"}
    assert read_record(places(more).record("c0")).exit_code == -signal.SIGKILL  # type: ignore[union-attr]
    assert Pool().cancel(more.root) == []

    launch(more, Here(4))
    assert set(now(more).values()) == {"done"}


def _step(study):
    return states(study, ask(study.root))[0].step


@pytest.mark.slow
def test_real_runs(tmp_path, ending):
    """One is stopped and goes on, to its evaluation; the other has a wrong override."""
    line = [*SMALL, "trainer.max_steps=150", "eval.every=150"]
    measure = ("num_samples=64", "batch_size=32", "accelerator=cpu", "replicates=0", "metric=[frechet]")
    study = identified(plan(tmp_path, {"a": line}, steps=150, evaluation=measure))
    wrong = plan(tmp_path, {"a": line, "wrong": [*line, "network.widht=3"]}, steps=150, evaluation=measure)
    study = replace(wrong, trainings=(study.trainings[0], wrong.trainings[1]))
    launch(study, Pool(2))
    until(lambda: now(study)["wrong0"] == "failed" and states(study, ask(study.root))[0].step > 2)
    Pool(2).cancel(study.root)
    run = RunDirectory(study.training(study.cells[0]).directory)
    assert now(study)["a0"] in ("interrupted", "trained")
    again = launch(study, Pool(2))
    assert [one.row for one in again.submitted] == ["a"]
    until(lambda: now(study) == {"a0": "done", "wrong0": "failed"})
    first, *_, last = run.starts()
    assert first["outcome"] == "interrupted"
    assert (last["outcome"], last["from_step"]) == ("complete", first["to_step"])
    error = states(study, ask(study.root))[1].error
    assert error.startswith("error: ")
    assert "did you mean" in error or "width" in error


def identified(study):
    """The plan with the identities that its runs have."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.config.keys import drop_unchosen
    from difflab.runs import identity
    from running import composed

    found = []
    for training in study.trainings:
        config = composed("train", *training.overrides)
        drop_unchosen(config)
        OmegaConf.resolve(config)
        data, evaluation = instantiate(config.data, _convert_="all"), instantiate(config.evaluation)
        name = identity(OmegaConf.to_container(config, resolve=True), data.fingerprint, evaluation.fingerprint)
        found.append(replace(training, identity=name))
    return replace(study, trainings=tuple(found))


def test_a_training_whose_run_is_nowhere_has_failed_aloud(tmp_path, stand_in):
    """It ends well, elsewhere than the study looks: evaluations that can never be due are no study that is to be done."""
    study = plan(tmp_path, {"a": []})
    (tmp_path / "other").mkdir()
    (training,) = study.trainings
    lost = replace(study, trainings=(replace(training, overrides=(*training.overrides, f"run.root={tmp_path}/other")),))
    launch(lost, Here())
    (cell,) = states(lost, ask(lost.root))
    assert cell.state == "failed"
    assert f"there is no complete run in {study.root / 'a' / 'seed0-a0'}" in cell.error
    assert [line.split()[0] for line in starts(tmp_path / "other")] == ["train"]
