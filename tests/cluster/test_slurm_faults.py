"""Jobs that are stopped, killed and out of time, on a real SLURM cluster: in the end they are what they would have been undisturbed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from difflab.runs import RunDirectory
from running import SMALL, differences, saved_state
from slurm_cluster import Cluster

pytestmark = pytest.mark.slow

LONG = (
    *SMALL,
    "launcher.nodes=2",
    "launcher.time=10",
    "trainer.max_steps=80",
    "trainer.log_every_n_steps=5",
    "checkpoint.every=10",
    "eval.every=40",
)


def run_of(root: Path) -> RunDirectory:
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)


def assert_same_end(one: RunDirectory, other: RunDirectory) -> None:
    assert one.path.name == other.path.name
    a, b = saved_state(one), saved_state(other)
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert differences(a[part], b[part], part) == []
    assert differences(a["callbacks"]["EMACallback"], b["callbacks"]["EMACallback"]) == []
    assert one.last_scores() == other.last_scores()


def submit(cluster: Cluster, root: Path, *overrides: str) -> str:
    return cluster.submit(*LONG, f"run.root={root}", *overrides)


def finished(cluster: Cluster, job: str, root: Path) -> str:
    """The log of a job that has to end well."""
    state = cluster.wait(job, root / "slurm", seconds=300)
    log = cluster.log(job, root / "slurm")
    assert state["JobState"] == "COMPLETED", log
    return log


@pytest.fixture(scope="module")
def whole(cluster: Cluster, tmp_path_factory) -> RunDirectory:
    """The same job undisturbed."""
    root = tmp_path_factory.mktemp("whole")
    log = finished(cluster, submit(cluster, root), root)
    assert "starts again" not in log
    return run_of(root)


def test_a_warning_signal_saves_and_requeues(cluster: Cluster, whole, tmp_path):
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 10/", job, tmp_path / "slurm")
    cluster.run("scancel", "--signal=USR1", job)
    log = finished(cluster, job, tmp_path)
    assert "interrupted and saved: starts again" in log
    assert "resuming from step" in log
    assert cluster.job(job)["Restarts"] == "1"
    assert_same_end(whole, run_of(tmp_path))


def test_a_job_that_is_pushed_aside_comes_back(cluster: Cluster, whole, tmp_path):
    """A partition of higher priority takes all nodes: SIGTERM, a time of grace, requeued."""
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 10/", job, tmp_path / "slurm")
    cluster.run("srun", "--partition=urgent", "--exclusive", "--nodes=4", "sleep", "1")
    log = finished(cluster, job, tmp_path)
    assert "resuming from step" in log
    assert int(cluster.job(job)["Restarts"]) >= 1
    assert_same_end(whole, run_of(tmp_path))


def test_one_process_killed_ends_the_others_and_leaves_its_node_out(cluster: Cluster, whole, tmp_path):
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 10/", job, tmp_path / "slurm")
    nodes = cluster.job(job)["NodeList"]
    os.kill(cluster.rank(job, 1), signal.SIGKILL)
    log = finished(cluster, job, tmp_path)
    assert nodes == "node[1-2]"
    assert "on node2 (Killed" in log
    assert "without node2 from now on" in log
    assert cluster.job(job)["ExcNodeList"] == "node2"
    assert "node2" not in cluster.job(job)["NodeList"]
    assert_same_end(whole, run_of(tmp_path))


def test_a_step_that_is_killed_whole_starts_again(cluster: Cluster, whole, tmp_path):
    """One of its processes has stopped answering, the other waits for it. Nobody can say how it ended."""
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 10/", job, tmp_path / "slurm")
    os.kill(cluster.rank(job, 1), signal.SIGSTOP)
    cluster.run("scancel", "--signal=KILL", f"{job}.0")
    log = finished(cluster, job, tmp_path)
    assert "starts again" in log
    assert_same_end(whole, run_of(tmp_path))


def test_a_dead_node_is_replaced(cluster: Cluster, whole, tmp_path):
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 25/", job, tmp_path / "slurm")
    cluster.control("node", "kill", "node2")
    try:
        finished(cluster, job, tmp_path)
        assert int(cluster.job(job)["Restarts"]) >= 1
        assert "node2" not in cluster.job(job)["NodeList"]
        assert_same_end(whole, run_of(tmp_path))
    finally:
        cluster.control("node", "start", "node2")


def test_a_node_that_no_longer_answers_is_replaced(cluster: Cluster, whole, tmp_path):
    """It holds the run's lock: the job takes that over from its own earlier start."""
    job = submit(cluster, tmp_path)
    cluster.wait_for_word("step 25/", job, tmp_path / "slurm")
    first = cluster.job(job)["BatchHost"]
    cluster.control("node", "freeze", first)
    try:
        log = finished(cluster, job, tmp_path)
        assert "resuming from step" in log
        assert first not in cluster.job(job)["NodeList"]
        assert_same_end(whole, run_of(tmp_path))
    finally:
        cluster.control("node", "thaw", first)


def test_the_time_limit_only_interrupts(cluster: Cluster, whole, tmp_path):
    """Two minutes, of which the first start sleeps away all but the margin."""
    profile = tmp_path / "slow.yaml"
    profile.write_text("setup: ['[ -n \"$SLURM_RESTART_COUNT\" ] || sleep 52']\n", encoding="utf-8")
    job = submit(cluster, tmp_path, "launcher.time=2", "run.margin=70", f"launcher.profile={profile}")
    log = finished(cluster, job, tmp_path)
    assert "interrupted and saved" in log
    assert_same_end(whole, run_of(tmp_path))


def test_the_same_failure_twice_ends_the_job(cluster: Cluster, tmp_path):
    """A program that fails at step 7, whoever runs it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'train' in sys.argv or '-m' in sys.orig_argv and 'train' in sys.orig_argv:\n"
        "    from difflab.training import DiffusionModule\n"
        "    step = DiffusionModule.training_step\n"
        "    def fails(self, batch, batch_idx):\n"
        "        if self.trainer.global_step == 7:\n"
        "            raise ArithmeticError('seven')\n"
        "        return step(self, batch, batch_idx)\n"
        "    DiffusionModule.training_step = fails\n",
        encoding="utf-8",
    )
    profile = tmp_path / "faulty.yaml"
    profile.write_text(f"environment: {{PYTHONPATH: {tmp_path}}}\n", encoding="utf-8")
    job = submit(cluster, tmp_path, f"launcher.profile={profile}", "checkpoint.every=3")
    state = cluster.wait(job, tmp_path / "slurm", seconds=200)
    log = cluster.log(job, tmp_path / "slurm")
    assert state["JobState"] == "FAILED"
    assert state["Restarts"] == "1"
    assert log.count("failed at optimizer step 7") == 2
    assert "ArithmeticError: seven" in log
    assert "as in an earlier start: that will not change, giving up" in log
    assert "from now on" not in log  # no node is blamed for the program


def test_a_node_whose_mount_is_missing_is_left_out(cluster: Cluster, tmp_path):
    """Its process alone would say that the command is wrong."""
    images, empty = tmp_path / "images", tmp_path / "empty"
    empty.mkdir()
    for k in range(2):
        (images / str(k)).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (8, 8), 10 * i + k).save(images / str(k) / f"{i}.png")
    wrapper, bad = tmp_path / "wrapper.sh", tmp_path / "bad"  # the second node of the first start
    wrapper.write_text(
        "#!/bin/bash\n"
        f'hide="mount --bind {empty} {images}"\n'
        f'[ "$SLURM_NODEID" != 1 ] || [ -e {bad} ] || echo "$SLURMD_NODENAME" > {bad}\n'
        f'[ "$SLURMD_NODENAME" != "$(cat {bad})" ] || '
        'exec unshare --mount bash -c "$hide && exec \\"\\$@\\"" wrapper "$@"\n'
        'exec "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)
    profile = tmp_path / "mount.yaml"
    profile.write_text(f"container: {wrapper}\n", encoding="utf-8")
    data = ["data=folder", f"data.dataset.root={images}", "data.image_size=8", "data.channels=1", "data.num_classes=2"]
    small = [one for one in SMALL if not one.startswith("data.")]
    job = cluster.submit(
        *small,
        *data,
        "data.batch_size=32",
        "data.num_workers=1",
        "extractor=digits",
        "launcher.nodes=2",
        "launcher.time=10",
        f"launcher.profile={profile}",
        f"run.root={tmp_path}",
    )
    log = finished(cluster, job, tmp_path)
    node = bad.read_text(encoding="utf-8").strip()
    assert f"process 1 on {node}: " in log
    assert "contains no images" in log
    assert f"without {node} from now on" in log
    assert log.count(f"error: process 1 on {node}") == 1
    assert cluster.job(job)["ExcNodeList"] == node


def test_what_srun_starts_in_an_allocation_is_one_run(cluster: Cluster, tmp_path):
    """In salloc, whose job is called interactive, and without --ntasks-per-node."""
    command = [sys.executable, "-m", "difflab", "train", *SMALL, f"run.root={tmp_path}"]
    said = cluster.run("salloc", "-n2", "srun", "-n2", *command)
    assert said.count("identity") == 1
    assert run_of(tmp_path).complete.exists()


def test_a_sweep_is_a_job_array(cluster: Cluster, tmp_path):
    """Two seeds by submitit; both end as they do without it."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs difflab[slurm]")
    root = tmp_path / "array"
    overrides = SMALL
    command = ["-m", *overrides, "seed=0,1", "hydra/launcher=slurm", "hydra.launcher.timeout_min=10"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "difflab", "train", *command, f"run.root={root}"],
        env=cluster.environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    said = sweep.communicate(timeout=400)[0]
    assert sweep.returncode == 0, said
    assert len(list(root.glob("*/*/complete.json"))) == 2
    assert list((root / "sweeps").glob("*/jobs/*_0")), said
    assert not list(tmp_path.glob("[01]"))
    cluster.train(*overrides, "seed=1", f"run.root={tmp_path / 'here'}")
    here = run_of(tmp_path / "here")
    (there,) = root.glob(f"*/{here.path.name}")
    assert_same_end(here, RunDirectory(there))


@pytest.mark.slow
def test_a_row_of_an_array_that_diverges_ends_no_other(cluster: Cluster, tmp_path):
    """The command waits for all, and says which failed."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs difflab[slurm]")
    root = tmp_path / "array"
    words = [*SMALL, "optimizer.lr=1e30,1e-4", "seed=0,1", "data.num_workers=1", f"run.root={root}"]
    command = [sys.executable, "-m", "difflab", "train", "-m", *words, "hydra/launcher=slurm"]
    sweep = subprocess.Popen(
        command,
        env=cluster.environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    said = sweep.communicate(timeout=500)[0]
    assert sweep.returncode == 3, said
    assert "Traceback" not in said
    assert "sweep of 4 rows: 2 complete, 2 failed" in said
    assert "row 0  optimizer.lr=1e+30 seed=0  failed (status 3): loss or gradient of step" in said
    assert len(list(root.glob("*/*/complete.json"))) == 2
