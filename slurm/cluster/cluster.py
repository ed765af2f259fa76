#!/usr/bin/env python3
"""A SLURM cluster on this machine, for tests: munge, a controller and several nodes from Debian's packages, without systemd.

    slurm/cluster/cluster.py install                  # once: apt-get, as root
    slurm/cluster/cluster.py up [--nodes 4]           # with an empty queue; what is left of an earlier one ends first
    . $(slurm/cluster/cluster.py env)                 # then sbatch, srun, squeue ... mean this cluster
    slurm/cluster/cluster.py node kill node2          # also freeze, thaw, start
    slurm/cluster/cluster.py down

Everything it writes is in $DIFFLAB_CLUSTER (default: difflab-cluster in the system's temporary folder), but for a line per node in
/etc/hosts, which `down` takes out again. Python's standard library is enough.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from string import Template

import processes

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("DIFFLAB_CLUSTER") or Path(tempfile.gettempdir()) / "difflab-cluster").resolve()
PORT = int(os.environ.get("DIFFLAB_CLUSTER_PORT", "16817"))  # of the controller; node i listens at PORT + i
PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
WAITING = ("-o", "DPkg::Lock::Timeout=600")  # seconds, for another process that installs packages
HOSTS = Path("/etc/hosts")
TAG = f"# difflab cluster {STATE}"


def missing() -> str:
    """Why no cluster can be started here; "" if one can."""
    if os.geteuid() != 0:
        return "a cluster for tests needs root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(absent)} missing: slurm/cluster/cluster.py install" if absent else ""


def install() -> None:
    """Debian's packages, without starting their services."""
    if not missing():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"cannot install {', '.join(PACKAGES)}: needs root and apt-get")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:  # keeps the packages from starting daemons of their own
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *WAITING, *command], env=quiet, capture_output=True, encoding="utf-8")
        if done.returncode:
            sys.exit(f"apt-get failed:\n{(done.stdout + done.stderr)[-2000:]}")
    finally:
        if ours:
            policy.unlink()


def up(nodes: int, cpus: int) -> None:
    """Starts everything and waits until all nodes are idle."""
    if missing():
        sys.exit(missing())
    down()
    shutil.rmtree(STATE, ignore_errors=True)
    for folder in ("log", "controller", "spool", "munge"):
        (STATE / folder).mkdir(parents=True)
    STATE.chmod(0o755)
    names = [f"node{i}" for i in range(1, nodes + 1)]
    for port in range(PORT, PORT + nodes + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                sys.exit(f"port {port} is taken by somebody else: set DIFFLAB_CLUSTER_PORT")
    closed = next((path for path in STATE.parents if not path.stat().st_mode & 0o001), None)
    if closed:
        sys.exit(f"{closed} is closed to other users, and munge is one: choose another $DIFFLAB_CLUSTER")
    try:
        write_hosts([f"127.0.0.1 {name} {TAG}" for name in names])
        start_munge()
        configure(names, cpus)
        processes.start(STATE, "slurmctld", ["slurmctld", "-D", "-c"])
        wait_for("the controller", lambda: "UP" in ask("scontrol", "ping"))
        for name in names:
            start_node(name)
        wait_for("all nodes", lambda: ask("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split() == ["idle"] * nodes)
    except BaseException:
        down()
        raise
    environment_file().write_text(
        f"export SLURM_CONF={STATE}/slurm.conf\nexport PATH={HERE}/bin:$PATH  # an sacct without accounting\n",
        encoding="utf-8",
    )
    print(f"{nodes} nodes are up. In your shell:\n\n    . {environment_file()}\n")


def down() -> None:
    """Ends the cluster, and what a crashed one has left behind."""
    if (STATE / "slurm.conf").exists() and "UP" in ask("scontrol", "ping"):
        ask("scancel", "--full", "--signal=KILL", "--state=RUNNING")  # jobs may ignore a polite end
        ask("scancel", "--user=root")
    processes.end(STATE, program="slurmd", patience=5)
    processes.end(STATE, program="slurmctld", patience=5)
    processes.end(STATE)
    write_hosts([])


def node(action: str, names: list[str]) -> None:
    """kill: the machine loses power, its connections are reset. freeze: the network is cut, nobody answers. thaw, start: it is back."""
    for name in names:
        if action == "kill":
            processes.end(STATE, node=name)
        elif action == "start":
            start_node(name)
        else:
            number = signal.SIGSTOP if action == "freeze" else signal.SIGCONT
            processes.send(number, processes.of_cluster(STATE, name))


def start_munge() -> None:
    """With its own key and socket, under the user that the package has made."""
    folder = STATE / "munge"
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o400)
    for path in (folder, folder / "key"):
        shutil.chown(path, "munge", "munge")
    files = [f"--{kind}-file={folder}/{kind}" for kind in ("key", "pid", "seed", "log")]
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    processes.start(STATE, "munged", [*as_munge, "munged", "-F", "--force", f"--socket={folder}/socket", *files])
    wait_for("munge", lambda: bool(ask("munge", f"--socket={folder}/socket", "--no-input")))


def start_node(name: str) -> None:
    """slurmd under a host name of its own, where the kernel lets us give one."""
    (STATE / "spool" / name).mkdir(exist_ok=True)
    daemon = ["slurmd", "-D", "-N", name]
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0:
        daemon = ["unshare", "--uts", "sh", "-c", f"hostname {name} && exec {' '.join(daemon)}"]
    processes.start(STATE, f"slurmd.{name}", daemon, node=name)


def configure(names: list[str], cpus: int) -> None:
    host = socket.gethostname().split(".")[0]
    try:
        loopback = socket.gethostbyname(host) == "127.0.0.1"
    except OSError:
        loopback = False
    nodes = [
        f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={PORT + i} CPUs={cpus} RealMemory=8000 State=UNKNOWN"
        for i, name in enumerate(names, 1)
    ]
    text = Template((HERE / "slurm.conf").read_text(encoding="utf-8")).substitute(
        host=host,
        port=PORT,
        state=STATE,
        listen="CommunicationParameters=NoInAddrAny,NoCtldInAddrAny" if loopback else "",
        nodes="\n".join(nodes),
    )
    (STATE / "slurm.conf").write_text(text, encoding="utf-8")


def write_hosts(lines: list[str]) -> None:
    """Written in place: in containers the file is mounted."""
    before = HOSTS.read_text(encoding="utf-8")
    kept = [line for line in before.splitlines() if not line.endswith(TAG)]
    after = "\n".join([*kept, *lines]) + "\n"
    if after != before:
        HOSTS.write_text(after, encoding="utf-8")


def ask(*command: str) -> str:
    """What a SLURM command prints; "" if it fails or does not answer."""
    environment = {**os.environ, "SLURM_CONF": str(STATE / "slurm.conf")}
    try:
        return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=10).stdout
    except subprocess.TimeoutExpired:
        return ""


def wait_for(what: str, ready: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            said = "".join(
                f"\n{path}:\n{path.read_text(encoding='utf-8')[-600:]}"
                for path in sorted((STATE / "log").glob("*.out"))
            )
            sys.exit(f"{what} did not come up in {seconds:.0f} s{said}")
        time.sleep(0.1)


def environment_file() -> Path:
    return STATE / "env.sh"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("install", "down", "env"):
        commands.add_parser(name)
    starting = commands.add_parser("up")
    starting.add_argument("--nodes", type=int, default=4)
    starting.add_argument("--cpus", type=int, default=2, help="processors that each node claims to have")
    fault = commands.add_parser("node")
    fault.add_argument("action", choices=("kill", "freeze", "thaw", "start"))
    fault.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "install":
        install()
    elif arguments.command == "up":
        up(arguments.nodes, arguments.cpus)
    elif arguments.command == "down":
        down()
    elif arguments.command == "env":
        print(environment_file())
    else:
        node(arguments.action, arguments.names)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a start that is broken off is cleaned up
    main()
