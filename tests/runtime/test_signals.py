"""Signals and outputs of a process that is a command's own, from its first moment to its last.

What training, drawing and their libraries do in between is in tests/cli/test_stopped_commands.py.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import atexit, os, sys, time
from difflab.cli.main import owned
from difflab.runtime.signals import BRIEF, KEEPING, STARTING, TRAINING, WRITING, signals

def work():
    stage = {"brief": BRIEF, "keeping": KEEPING, "training": TRAINING, "writing": WRITING}[sys.argv[1]]
    signals.enter(stage)
    print("ready", flush=True)
    deadline = time.monotonic() + 20
    while signals.reason is None and time.monotonic() < deadline:
        time.sleep(0.01)
        if "prints" in sys.argv:
            print("step", flush=True)
    if "hangs" in sys.argv:
        time.sleep(20)
    print("saved", flush=True)
    sys.exit(75 if stage is TRAINING else 0)

atexit.register(lambda: time.sleep(0.3))
owned(work, STARTING)
"""


def defaults() -> None:
    """Of a shell in the foreground, whatever has started these tests."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(*arguments: str, before=defaults, **streams) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], encoding="utf-8", cwd=ROOT, preexec_fn=before, **streams
    )


def ready(*arguments: str, **options) -> subprocess.Popen[str]:
    process = started(*arguments, **options)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_noted_and_answered_while_work_can_be_saved(number):
    process = ready("training")
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (75, "saved\n")
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert error.startswith(f"{name}: training stops after this step and saves")
    assert error.count("\n") == 1
    assert ("Ctrl-C again" in error) == (number == signal.SIGINT)


@pytest.mark.parametrize(
    ("stage", "number", "status"),
    [
        ("keeping", signal.SIGTERM, 75),
        ("keeping", signal.SIGINT, 75),
        ("brief", signal.SIGTERM, 143),
        ("brief", signal.SIGINT, 130),
        ("writing", signal.SIGTERM, 0),
        ("writing", signal.SIGINT, 0),
    ],
)
def test_a_signal_does_what_the_stage_says(stage, number, status):
    process = ready(stage)
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert process.returncode == status
    assert out == ("saved\n" if status == 0 else "")
    assert error.count("\n") == 1


def test_a_signal_in_the_last_moment_leaves_the_exit_status():
    """While what was registered with atexit runs, and while Python takes itself apart."""
    process = ready("training")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "saved\n"
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.005)
    assert process.returncode == 75


@pytest.mark.parametrize("stage", ["training", "writing"])
def test_a_second_ctrl_c_ends_what_hangs(stage):
    """At once, with a line and no traceback; two in one moment are one."""
    process = ready(stage, "hangs")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Ctrl-C: ")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == ("", "ended at once\n")
    assert process.returncode == 130


def test_what_whoever_started_it_ignores_stays_ignored():
    """As nohup does, and a shell for what a script has in its background."""

    def ignoring() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    process = ready("training", before=ignoring)
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1].startswith("SIGTERM")
    assert process.returncode == 75


def test_ctrl_c_in_a_terminal():
    """The terminal tells the whole group of processes; a bar's cursor comes back."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # also where the tests run in the background of a script
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, "training", "hangs"])
    said = b""
    for expected in (b"ready", b"Ctrl-C again", b"ended at once"):
        while expected not in said:
            said += os.read(terminal, 1024)
        time.sleep(0.4)
        if expected != b"ended at once":
            os.write(terminal, b"\x03")
    while b"\x1b[?25h" not in said:
        said += os.read(terminal, 1024)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(terminal)
    assert b"Traceback" not in said


def test_work_that_nobody_reads_is_told_to_stop():
    """Long work saves, and what it still says is lost without a word."""
    process = ready("training", "prints")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=30) == 75
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("study.py --help | head -1", 0, ""),
        ("-m difflab | head -1", 0, ""),
        (
            "study.py --help > /dev/full",
            2,
            "error: the standard output takes nothing any more: No space left on device\n",
        ),
        ("study.py --help 2>&- > /dev/null", 0, ""),
        ("study.py nothing 2> /dev/full", 2, ""),
        ("study.py --help >&-", 0, ""),
        (
            # work that is complete, as a training that was run to its end before
            "-c 'from difflab.cli.main import owned, KEEPING; owned(lambda: print(0), KEEPING)' > /dev/full",
            2,
            "error: the standard output takes nothing any more: No space left on device\n",
        ),
    ],
)
def test_a_listing_whose_output_is_lost(words, status, said):
    """Silently where its reader has had enough, with a line where the disk is full."""
    command = f"set -o pipefail; {sys.executable} {words}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert (done.returncode, done.stderr) == (status, said)
