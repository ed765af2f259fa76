"""`difflab doctor` as a whole: processes that come, hang, die or never come; its words for people and for programs."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from difflab.cli import doctor as command
from difflab.cluster.doctor import Check, Examination, Finding, Measured, NotApplicableError, Report, Verdict
from difflab.cluster.doctor import check as examination
from difflab.cluster.doctor.check import ok, warning, worst
from difflab.cluster.doctor.run_checks import bytes_needed
from difflab.config.run import composed_as_running
from difflab.distributed import ALONE, Group, Placement, ProcessMissingError, placement
from running import SMALL, train_small

NAMES = [
    "processes",
    "versions",
    "GPUs",
    "all-reduce",
    "shared folder",
    "disk space",
    "data",
    "W&B",
    "SLURM",
    "clocks",
    "open files",
    "shared memory",
]


class Trial(Check):
    """Does in each process what the test wants."""

    remedy = "look there"

    def __init__(self, name: str, *acts):
        self.name = name
        self.acts = acts

    def measure(self, group: Group) -> dict[str, Any]:
        return {"said": self.acts[group.rank](group)}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        return ok(" ".join(str(one.facts["said"]) for one in measured))


def refuse(group: Group) -> None:
    raise NotApplicableError("nothing here")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def place(rank: int, size: int, port: int) -> Placement:
    return Placement("threads", rank, size, rank, size, "127.0.0.1", port, False, "test")


def test_a_check_that_hangs_is_a_verdict():
    forever = threading.Event()
    hangs = Trial("hangs", lambda group: forever.wait())
    examined = Examination([hangs, Trial("next", lambda group: "fine")], Group(ALONE, 1, 1), 0.3)
    report = examined.run()  # does not wait for ever
    assert examined.hanging
    assert report.exit_code == 1
    assert report.findings["hangs"].verdict is Verdict.FAILED
    assert "hung for 0.3 s" in report.findings["hangs"].found
    assert report.findings["hangs"].advice == "look there"
    assert report.findings["next"] == ok("fine")
    forever.set()


def test_a_check_that_breaks_or_has_nothing_to_do():
    breaks = Trial("breaks", lambda group: 1 / 0)
    report = Examination([breaks, Trial("none", refuse)], Group(ALONE, 1, 1), 5).run()
    assert "ZeroDivisionError" in report.findings["breaks"].found
    assert report.findings["none"].verdict is Verdict.SKIPPED


def test_a_process_that_never_comes(monkeypatch):
    monkeypatch.setattr(examination, "GRACE", 0.2)
    barrier = Trial("barrier", lambda group: group.barrier("x"))
    report = Examination(
        [barrier, Trial("own", lambda group: "fine")], Group(place(0, 2, free_port()), 0.2, 0.3), 0.5
    ).run()
    assert report.findings["processes"].verdict is Verdict.FAILED
    assert "process 1 did not come" in report.findings["processes"].found
    assert report.findings["barrier"].verdict is Verdict.SKIPPED, "said once is enough"
    assert report.findings["own"] == ok("fine")
    assert json.loads(report.as_json())["hosts"][1] is None


def test_a_first_process_that_never_comes():
    with pytest.raises(ProcessMissingError, match="process 0 cannot be reached"):
        Group(place(1, 2, free_port()), 0.5, 0.5)


def test_a_process_that_stays_away_from_a_barrier_has_a_name():
    port, reports = free_port(), {}
    stays = Trial("barrier", lambda group: group.barrier("x"), lambda group: "elsewhere")

    def process(rank: int) -> None:
        reports[rank] = Examination([stays], Group(place(rank, 2, port), 0.3, 5), 5).run()

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports[0].findings == reports[1].findings
    assert "process 1 on" in reports[0].findings["barrier"].found
    assert "did not come within 0.3 s" in reports[0].findings["barrier"].found


PAIRS = """
import os, sys, time
from difflab.cluster import doctor
from difflab.cluster.doctor import check as examination
from difflab.distributed import Group, Placement
examination.GRACE = 2
def hangs(self, group):
    group.barrier("all-reduce")
    time.sleep(1000)
def dies(self, group):
    group.barrier("all-reduce")
    os.kill(os.getpid(), 9)
folder, *ports = sys.argv[1:]
processes = {}
for act, port in zip((hangs, dies), ports):
    for rank in (0, 1):
        child = os.fork()
        if child:
            processes[child] = f"{act.__name__} {rank}"
            continue
        if rank == 1:
            doctor.AllReduce.measure = act
        place = Placement("torchrun", rank, 2, rank, 2, "127.0.0.1", int(port), False, "test")
        checks = [doctor.AllReduce("cpu"), doctor.ClockSkew()]
        report = doctor.Examination(checks, Group(place, 2, 60), 4).run()
        if rank == 0:
            open(f"{folder}/{act.__name__}", "w").write(report.as_json())
        os._exit(report.exit_code)
for _ in range(4):
    child, status = os.wait()
    print(processes[child], os.waitstatus_to_exitcode(status))
"""


def test_a_hanging_all_reduce_and_a_dead_process(tmp_path):
    """Two processes for real: in one pair the second never takes part, in the other it is killed."""
    ports = [str(free_port()), str(free_port())]
    done = subprocess.run(
        [sys.executable, "-c", PAIRS, str(tmp_path), *ports], capture_output=True, encoding="utf-8", timeout=900
    )
    assert sorted(done.stdout.splitlines()) == ["dies 0 1", "dies 1 -9", "hangs 0 1", "hangs 1 1"], done.stderr
    acts = ("hangs", "dies")
    found = {
        act: {c["name"]: c for c in json.loads((tmp_path / act).read_text(encoding="utf-8"))["checks"]} for act in acts
    }
    assert found["hangs"]["all-reduce"]["verdict"] == "failed"
    assert "hung for 4 s" in found["hangs"]["all-reduce"]["found"]
    assert found["hangs"]["clocks"]["verdict"] == "ok", "the examination goes on"
    assert found["dies"]["all-reduce"]["verdict"] == "failed"
    assert "process 1 on" in found["dies"]["all-reduce"]["found"]
    assert "gone silent" in found["dies"]["all-reduce"]["found"]
    assert found["dies"]["clocks"]["verdict"] == "skipped"


def check_schema(text: str) -> dict[str, dict[str, str]]:
    """name -> check of a JSON report, which must be as docs/doctor.md says."""
    report = json.loads(text)
    assert list(report) == ["verdict", "processes", "hosts", "checks"]
    assert report["verdict"] in ("ok", "warning", "failed")
    assert len(report["hosts"]) == report["processes"]
    assert [check["name"] for check in report["checks"]] == NAMES
    for check in report["checks"]:
        assert list(check) == ["name", "verdict", "found", "advice", "nodes"]
        assert check["verdict"] in ("ok", "warning", "failed", "skipped")
        assert check["found"]
        assert bool(check["advice"]) == (check["verdict"] in ("warning", "failed"))
    return {check["name"]: check for check in report["checks"]}


def test_under_torchrun(tmp_path):
    arguments = ["doctor", "--json", *SMALL, "data.num_workers=1", f"run.root={tmp_path}/runs"]
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        str(free_port()),
    ]
    done = subprocess.run([*torchrun, "-m", "difflab", *arguments], capture_output=True, encoding="utf-8", timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    checks = check_schema(done.stdout)  # one report, and nothing else on the standard output
    assert {name for name, check in checks.items() if check["verdict"] == "failed"} == set()
    assert "started by torchrun" in checks["processes"]["found"]
    assert "gloo, 2 processes: sums right" in checks["all-reduce"]["found"]
    assert "seen by all 2 processes" in checks["shared folder"]["found"]
    assert "1797 images of 1x8x8" in checks["data"]["found"]
    assert not (tmp_path / "runs").exists()


def run_doctor(monkeypatch, capfd, *arguments: str) -> tuple[int, str]:
    """(exit status, standard output) of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["doctor", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        command.main()
    return int(str(exit_.value.code)), capfd.readouterr().out


@pytest.fixture
def outside_of_slurm(monkeypatch, tmp_path):
    for key in [k for k in os.environ if k.startswith(("SLURM", "WANDB"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_alone(monkeypatch, capfd, tmp_path, outside_of_slurm):
    status, out = run_doctor(monkeypatch, capfd, "--json", *SMALL, f"run.root={tmp_path}")
    checks = check_schema(out)
    assert status == 0, out
    assert checks["data"]["verdict"] == "ok"
    assert checks["W&B"]["verdict"] == checks["all-reduce"]["verdict"] == checks["SLURM"]["verdict"] == "skipped"


def test_a_failure_is_told_and_is_the_exit_status(monkeypatch, capfd, tmp_path, outside_of_slurm):
    (tmp_path / "file").write_text("", encoding="utf-8")
    broken = ["trainer.accelerator=cpu", "data=folder", "data.image_size=8", "data.channels=1", "data.num_classes=0"]
    status, out = run_doctor(
        monkeypatch, capfd, *broken, f"data.dataset.root={tmp_path}/none", f"run.root={tmp_path}/file/runs"
    )
    assert status == 1
    rows = {line[:14].strip(): line[15:].split()[0] for line in out.splitlines() if line[:1].strip()}
    assert rows["shared folder"] == "failed"
    assert rows["data"] == "failed"
    assert rows["versions"] == "ok"
    assert "stage_in" in out, "advice"


def test_a_wrong_command(monkeypatch, capfd):
    status, _ = run_doctor(monkeypatch, capfd, "data.batch_sise=3")
    assert status == 2
    status, _ = run_doctor(monkeypatch, capfd, "data.batch_size=130", "trainer.devices=4")
    assert status == 2


def test_warnings_are_no_failure():
    findings = {"a": ok("fine"), "b": warning("slow", "buy another")}
    report = Report(1, {0: "here"}, findings)
    assert report.exit_code == 0
    assert json.loads(report.as_json())["verdict"] == "warning"
    both = worst([findings["b"], Finding(Verdict.FAILED, "broken", "mend it")], ok("fine"))
    assert both == Finding(Verdict.FAILED, "broken; slow", "mend it; buy another")
    with pytest.raises(ValueError, match="what to do"):
        Finding(Verdict.FAILED, "broken")


def test_disk_that_a_run_takes(tmp_path):
    """What is said to be needed is what a finished run has taken, and room for the checkpoint that is being written."""
    train_small(tmp_path / "runs", "checkpoint.keep_last=4", "eval.every=12", "network.width=32")
    taken = {(s.st_dev, s.st_ino): s.st_size for s in (p.stat() for p in tmp_path.rglob("*") if p.is_file())}
    checkpoint = max(p.stat().st_size for p in tmp_path.rglob("*.ckpt"))
    config = composed_as_running("train", [*SMALL, "checkpoint.keep_last=4", "eval.every=12", "network.width=32"])
    # best.ckpt is a second name of one of the four here, and may be a fifth file
    assert bytes_needed(config) == pytest.approx(sum(taken.values()) + 2 * checkpoint, rel=0.1)


def test_places(monkeypatch):
    for key in [k for k in os.environ if k.startswith(("SLURM", "TORCHELASTIC", "MASTER"))]:
        monkeypatch.delenv(key)
    assert placement() == ALONE
    batch = {"SLURM_JOB_ID": "12345", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}
    for key, value in batch.items():
        monkeypatch.setenv(key, value)
    assert placement() == ALONE, "in a batch script, not started by srun"
    step = {
        "SLURM_STEP_ID": "2",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_NODELIST": "node[3-4]",
    }
    for key, value in (step | {"SLURM_PROCID": "3", "SLURM_LOCALID": "1"}).items():
        monkeypatch.setenv(key, value)
    assert placement() == Placement("srun", 3, 4, 1, 2, "node3", 15000 + 2345 + 2 * 1009, False, "12345.2")


@pytest.mark.slow
def test_on_a_cluster(cluster, tmp_path):
    """Twice in one job, since training meets at the same port just after; and the mistakes that a job makes."""
    doctor = f"{sys.executable} -m difflab doctor --json {' '.join(SMALL)} run.root={tmp_path}/runs"
    script = tmp_path / "job.sh"
    script.write_text(
        "#!/bin/bash\n"
        f"for i in 1 2; do srun {doctor} trainer.num_nodes=2 > {tmp_path}/$i.json; done\n"
        f"srun {doctor} > {tmp_path}/by_itself.json; {doctor} > {tmp_path}/no_srun.json; touch {tmp_path}/done\n",
        encoding="utf-8",
    )
    options = ["--nodes=2", "--ntasks-per-node=1", "--time=10", "--requeue", f"--output={tmp_path}/log"]
    cluster.run("sbatch", *options, str(script))
    deadline = time.monotonic() + 200
    while not (tmp_path / "done").exists():
        assert time.monotonic() < deadline, Path(tmp_path / "log").read_text(encoding="utf-8")
        time.sleep(0.5)
    for i in (1, 2):
        checks = check_schema((tmp_path / f"{i}.json").read_text(encoding="utf-8"))
        assert {name: c["found"] for name, c in checks.items() if c["verdict"] == "failed"} == {}
        assert "node1, node2, started by srun" in checks["processes"]["found"]
        assert "seen by all 2" in checks["shared folder"]["found"]
        assert "--signal=USR1" in checks["SLURM"]["advice"]
    shape = check_schema((tmp_path / "by_itself.json").read_text(encoding="utf-8"))["SLURM"]
    assert shape["verdict"] != "failed", "what srun has started says how many there are"
    assert "by srun" in check_schema((tmp_path / "no_srun.json").read_text(encoding="utf-8"))["SLURM"]["advice"]
