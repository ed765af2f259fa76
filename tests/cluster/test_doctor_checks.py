"""Every check of `difflab doctor`, on this machine as it is and on one broken for the purpose."""

import contextlib
import itertools
import os
import resource
import shutil
import socket
import threading
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from difflab.cluster.doctor import (
    AllReduce,
    Check,
    ClockSkew,
    DataReachable,
    DiskSpace,
    Examination,
    Finding,
    GPUs,
    Measured,
    OpenFiles,
    SharedFolder,
    SharedMemory,
    SlurmLimits,
    Verdict,
    Versions,
    WandbLogin,
    cluster_checks,
)
from difflab.cluster.doctor import job_checks as all_reduce
from difflab.cluster.doctor import machine_checks as gpus_file
from difflab.cluster.doctor import run_checks as versions
from difflab.distributed import ALONE, Group, Placement
from difflab.training.sharding import DeepSpeed


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def together(*checks: Check) -> Finding:
    """One finding by as many processes as there are checks of a kind, here threads."""
    port, found = free_port(), {}

    def process(rank: int) -> None:
        place = Placement("threads", rank, len(checks), rank, len(checks), "127.0.0.1", port, False, "test")
        found[rank] = Examination([checks[rank]], Group(place, 3, 5), 8).run().findings[checks[rank].name]

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(len(checks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(finding == found[0] for finding in found.values()), "all processes know the same"
    return found[0]


def alone(check: Check) -> Finding:
    return Examination([check], Group(ALONE, 1, 1), 8).run().findings[check.name]


def judged(check: Check, *facts: dict) -> Finding:
    return check.judge([Measured(rank, f"node{rank + 1}", one) for rank, one in enumerate(facts)])


# --- versions


def test_this_environment_has_the_versions_that_difflab_asks_for():
    finding = alone(Versions(()))
    assert finding.verdict is Verdict.OK
    assert f"torch {torch.__version__.split('+')[0]}" in finding.found


@pytest.mark.parametrize(
    ("library", "found", "word"),
    [
        ("pytorch-lightning", "2.6.3", "compromised"),
        ("pytorch-lightning", "2.5.6", "older than 2.6.4"),
        ("torch", "2.9.1+cu128", "older than 2.11"),
        ("wandb", "", "wandb is missing"),
        ("deepspeed", "", "needs deepspeed"),
    ],
)
def test_versions_that_do_not_work(monkeypatch, library, found, word):
    real = versions.installed
    monkeypatch.setattr(versions, "installed", lambda name: found if name == library else real(name))
    finding = alone(Versions(DeepSpeed.packages))
    assert finding.verdict is Verdict.FAILED
    assert word in finding.found
    assert "pip install" in finding.advice


def test_nodes_with_different_versions():
    facts = Versions(()).measure(Group(ALONE, 1, 1))
    finding = judged(Versions(()), facts, facts | {"torch": "2.13.0"}, facts)
    assert finding.verdict is Verdict.FAILED
    assert "2.13.0 on node2" in finding.found
    assert "node1, node3" in finding.found


@pytest.mark.parametrize(
    ("driver", "cuda", "verdict"),
    [
        ("13.0", "12.8", "ok"),
        ("12.8", "12.8", "ok"),
        ("12.2", "12.8", "warning"),
        ("12.8", "13.0", "failed"),
        ("", "13.0", "ok"),
    ],
)
def test_drivers_against_cuda(driver, cuda, verdict):
    facts = Versions(()).measure(Group(ALONE, 1, 1))
    assert judged(Versions(()), facts | {"cuda": cuda, "driver_cuda": driver}).verdict == verdict


# --- GPUs

A100 = {"index": 0, "name": "A100", "memory_gb": 80, "used_gb": 1.0, "bf16": True}


def test_gpus_of_this_machine():
    finding = alone(GPUs("auto", 1, "32-true"))
    assert finding.verdict is Verdict.OK
    assert ("CPU" in finding.found) == (not torch.cuda.is_available())
    assert alone(GPUs("cpu", 1, "32-true")).verdict is Verdict.SKIPPED


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu(monkeypatch):
    assert alone(GPUs("gpu", 1, "32-true")).verdict is Verdict.FAILED
    monkeypatch.setattr(gpus_file.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = alone(GPUs("auto", 1, "32-true"))
    assert finding.verdict is Verdict.FAILED
    assert "torch sees no GPU" in finding.found


@pytest.mark.parametrize(
    ("change", "precision", "verdict", "word"),
    [
        ({}, "bf16-mixed", "ok", "2 x A100 80 GB"),
        ({"used_gb": 30.0}, "32-true", "warning", "30.0 of 80 GB are taken"),
        ({"memory_gb": 40}, "32-true", "warning", "different GPUs"),
        ({"name": "V100", "bf16": False}, "bf16-mixed", "failed", "no bfloat16"),
        ({"name": "V100", "bf16": False}, "16-mixed", "warning", "different GPUs"),
    ],
)
def test_gpus_that_are_not_as_they_should_be(monkeypatch, change, precision, verdict, word):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(gpus_file, "describe", lambda index: A100 | {"index": index} | (change if index else {}))
    finding = alone(GPUs("auto", 2, precision))
    assert finding.verdict == verdict
    assert word in finding.found


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(gpus_file, "describe", lambda index: A100)
    finding = together(GPUs("auto", 1, "32-true"), GPUs("auto", 1, "32-true"))
    assert finding.verdict is Verdict.FAILED
    assert "1 GPUs for 2 processes" in finding.found


# --- all-reduce


def reduced(milliseconds: float, right: bool = True, backend: str = "gloo") -> dict:
    trial = {"seconds": milliseconds / 1000, "right": right}
    return {"backend": backend, "processes": 4, "trials": {"1 MB": trial, "64 MB": trial}}


def test_bandwidth_of_an_all_reduce():
    # 64 MiB over a ring of four: 1.5 * 67.1 MB in the slowest process's 50 ms are 2.01 GB/s
    finding = judged(AllReduce("cpu"), reduced(10), reduced(50), reduced(20), reduced(20))
    assert finding.verdict is Verdict.OK
    assert "64 MB in 50 ms (2.01 GB/s)" in finding.found
    assert judged(AllReduce("cpu"), reduced(5000)).verdict is Verdict.WARNING
    assert judged(AllReduce("gpu"), reduced(60, backend="nccl")).verdict is Verdict.WARNING


def test_a_wrong_sum(monkeypatch):
    finding = judged(AllReduce("cpu"), reduced(1), reduced(1, right=False))
    assert finding.verdict is Verdict.FAILED
    assert "process 1 on node2" in finding.found

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        assert all_reduce.all_reduce_once(4096, torch.device("cpu"))["right"]
        monkeypatch.setattr(dist, "all_reduce", lambda values: values[500].add_(2**-10))
        assert not all_reduce.all_reduce_once(4096, torch.device("cpu"))["right"]
    finally:
        dist.destroy_process_group()


def test_all_reduce_of_one_process():
    assert alone(AllReduce("cpu")).verdict is Verdict.SKIPPED


# --- shared folder


def test_a_shared_folder(tmp_path):
    finding = together(*(SharedFolder(tmp_path / "runs") for _ in range(3)))
    assert finding.verdict is Verdict.OK
    assert "seen by all 3 processes" in finding.found
    assert not (tmp_path / "runs").exists(), "what was made for the examination is gone"


def test_folders_that_are_not_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster_checks, "VISIBLE_WITHIN", 0.3)
    finding = together(SharedFolder(tmp_path / "here"), SharedFolder(tmp_path / "there"))
    assert finding.verdict is Verdict.FAILED
    assert "does not see" in finding.found
    assert "shared file system" in finding.advice


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    finding = alone(SharedFolder(tmp_path / "file" / "runs"))
    assert finding.verdict is Verdict.FAILED
    assert "NotADirectoryError" in finding.found


def test_a_file_system_that_tears_files(monkeypatch, tmp_path):
    def torn(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:9])
            file.flush()
            time.sleep(0.002)
            file.write(content[9:])

    monkeypatch.setattr(cluster_checks, "write_bytes", torn)
    finding = together(SharedFolder(tmp_path), SharedFolder(tmp_path))
    assert finding.verdict is Verdict.FAILED
    assert "half-replaced" in finding.found


def test_a_slow_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster_checks, "SLOW_SYNC", 0.2)
    monkeypatch.setattr(cluster_checks, "REPLACING", 0.5)
    monkeypatch.setattr(os, "fsync", lambda file: time.sleep(0.25))
    assert alone(SharedFolder(tmp_path)).verdict is Verdict.WARNING


# --- disk space

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "verdict"), [(80e9, "ok"), (50e9, "warning"), (39e9, "failed")])
def test_disk_against_what_the_run_writes(monkeypatch, tmp_path, free, verdict):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(int(1e12), 0, int(free)))
    assert alone(DiskSpace(tmp_path / "not" / "yet", lambda: int(40e9))).verdict == verdict


def test_disk_of_this_machine(tmp_path):
    facts = DiskSpace(tmp_path / "not" / "yet", None).measure(Group(ALONE, 1, 1))
    disk = os.statvfs(tmp_path)
    assert facts["free"] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)


# --- data


def test_data_that_differ_or_are_missing():
    one, other = (1797, [1, 8, 8], "aa"), (1797, [1, 8, 8], "ab")
    assert together(DataReachable(lambda: one), DataReachable(lambda: one)).verdict is Verdict.OK
    finding = together(DataReachable(lambda: one), DataReachable(lambda: other))
    assert finding.verdict is Verdict.FAILED
    assert "contents" in finding.found

    def gone() -> tuple:
        raise FileNotFoundError("/data/imagenet")

    finding = together(DataReachable(lambda: one), DataReachable(gone))
    assert finding.verdict is Verdict.FAILED
    assert "process 1" in finding.found
    assert "/data/imagenet" in finding.found
    assert alone(DataReachable(None)).verdict is Verdict.SKIPPED


# --- W&B


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user who has no W&B settings."""
    for key in [k for k in os.environ if k.startswith("WANDB") or k.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_not_logged_in(nobody):
    assert "offline (not logged in)" in alone(WandbLogin("auto")).found
    finding = alone(WandbLogin("online"))
    assert finding.verdict is Verdict.FAILED
    assert "wandb login" in finding.advice
    assert alone(WandbLogin("of-line")).verdict is Verdict.FAILED
    assert alone(WandbLogin("offline")).verdict is Verdict.OK
    assert alone(WandbLogin(None)).verdict is Verdict.SKIPPED


def test_the_server_of_a_login(nobody, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", address)
        nobody.write_text(f"machine 127.0.0.1 login user password {'k' * 40}\n", encoding="utf-8")
        nobody.chmod(0o600)
        assert "online" in alone(WandbLogin("auto")).found
        monkeypatch.setenv("WANDB_API_KEY", "short")
        assert alone(WandbLogin("auto")).verdict is Verdict.WARNING
    finding = alone(WandbLogin("auto"))
    assert finding.verdict is Verdict.FAILED
    assert "cannot be reached" in finding.found


# --- SLURM


@pytest.fixture
def job(monkeypatch, tmp_path):
    """Within a job as SLURM's variables and a scontrol of ours describe it."""
    for key in [k for k in os.environ if k.startswith("SLURM") or k == "DIFFLAB_JOB"]:
        monkeypatch.delenv(key)
    set_up = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "difflab", "SLURM_NTASKS": "1", "SLURM_MEM_PER_NODE": "16384"}
    for key, value in set_up.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 3600))
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        "#!/bin/sh\necho JobId=7 JobName=difflab Requeue=${REQUEUE:-1} TimeLimit=01:00:00 EndTime=2020-01-01T00:00:00\n",
        encoding="utf-8",
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_outside_of_a_job(job, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID")
    assert alone(SlurmLimits(120, None)).verdict is Verdict.SKIPPED


def test_a_good_job(job):
    finding = alone(SlurmLimits(120, 1))
    assert finding.verdict is Verdict.OK
    assert "1 h left of 01:00:00, 16 GB per process, starts again" in finding.found


@pytest.mark.parametrize(
    ("variables", "verdict", "word"),
    [
        ({"SLURM_JOB_END_TIME": "{100}"}, "failed", "s remain"),
        ({"SLURM_JOB_END_TIME": "{300}"}, "warning", "s remain"),
        ({"REQUEUE": "0"}, "warning", "not be started again"),
        ({"SLURM_MEM_PER_NODE": "1000"}, "warning", "1000 MB"),
        ({"SLURM_NTASKS": "4"}, "failed", "4 tasks, but 1 process"),
        ({"SLURM_JOB_END_TIME": None, "DIFFLAB_JOB": "/job"}, "failed", "s remain"),  # what scontrol says
    ],
)
def test_jobs_that_end_badly(job, monkeypatch, variables, verdict, word):
    for key, value in variables.items():
        if value is None:
            monkeypatch.delenv(key)
        else:
            monkeypatch.setenv(key, str(time.time() + float(value[1:-1])) if value.startswith("{") else value)
    finding = alone(SlurmLimits(120, 1))
    assert finding.verdict == verdict
    assert word in finding.found


def test_a_job_without_a_signal_or_an_end(job, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    facts = SlurmLimits(90, 1).measure(Group(ALONE, 1, 1)) | {"remaining": None}
    finding = judged(SlurmLimits(90, 1), facts)
    assert finding.verdict is Verdict.WARNING
    assert "--signal=USR1@90" in finding.advice


def test_processes_that_lightning_will_not_accept(job):
    facts = SlurmLimits(120, 1).measure(Group(ALONE, 1, 1)) | {
        "started_by": "srun",
        "processes": 4,
        "tasks": 4,
        "per_node": True,
    }
    four = [facts] * 4
    assert judged(SlurmLimits(120, 4), *four).verdict is Verdict.OK
    assert "trainer.num_nodes=4 trainer.devices=1" in judged(SlurmLimits(120, 1), *four).advice
    unplaced = [facts | {"per_node": False}] * 4
    assert "--ntasks-per-node" in judged(SlurmLimits(120, 4), *unplaced).advice
    named = [facts | {"name": "interactive"}] * 4
    assert "--job-name" in judged(SlurmLimits(120, 4), *named).advice


# --- clocks


def test_clocks(monkeypatch):
    assert alone(ClockSkew()).verdict is Verdict.SKIPPED
    assert together(ClockSkew(), ClockSkew()).verdict is Verdict.OK
    late, real = itertools.count(), time.time
    monkeypatch.setattr(
        "difflab.cluster.doctor.cluster_checks.time", SimpleNamespace(time=lambda: real() + 5 * next(late))
    )
    finding = together(ClockSkew(), ClockSkew())
    assert finding.verdict is Verdict.WARNING
    assert finding.found.startswith("within 5 s")
    assert judged(ClockSkew(), {"time": 100.0}, {"time": 40.0}).verdict is Verdict.FAILED


# --- limits of a process


@pytest.fixture
def few_files():
    """A real limit, and the old one again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        yield


def test_open_files(few_files):
    assert alone(OpenFiles(workers=0)).verdict is Verdict.OK
    finding = alone(OpenFiles(workers=4))
    assert finding.verdict in (Verdict.WARNING, Verdict.FAILED)
    assert "may open 512 files, about 772" in finding.found
    assert "ulimit -n 772" in judged(OpenFiles(4), {"soft": 512, "hard": 4096, "needed": 772}).advice
    assert judged(OpenFiles(4), {"soft": 512, "hard": 512, "needed": 772}).verdict is Verdict.FAILED
    assert judged(OpenFiles(4), {"soft": -1, "hard": -1, "needed": 772}).verdict is Verdict.OK


@pytest.mark.parametrize(("free_mb", "verdict"), [(1000, "ok"), (100, "warning"), (64, "failed")])
def test_shared_memory(monkeypatch, tmp_path, free_mb, verdict):
    # two processes, four workers, three batches of 3 MiB each: 72 MiB
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free_mb * 2**20))
    assert alone(SharedMemory(4, 3 * 2**20, 2, tmp_path)).verdict == verdict


def test_shared_memory_of_this_machine():
    assert alone(SharedMemory(0, 10**15, 8)).verdict is Verdict.SKIPPED
    if Path("/dev/shm").is_dir():
        assert alone(SharedMemory(1, 10**15, 1)).verdict is Verdict.FAILED
