"""`difflab <command>`: what train.py and sample.py are in a source tree, and more."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from difflab import __version__
from difflab.runtime.console import is_unread, keep_outputs
from difflab.runtime.signals import BRIEF, KEEPING, WRITING, Stage, signals, starting


class Command(NamedTuple):
    """A command of difflab.

    Attributes:
        purpose: What it does, in a line.
        stage: At which it begins, hence what a signal does.
        function: In difflab.cli, where that is not main() of the module of its name.
    """

    purpose: str
    stage: Stage = BRIEF
    function: str = ""


COMMANDS = {
    "train": Command("trains a model and scores its samples", starting()),
    "sample": Command("draws images from a run or a checkpoint", KEEPING),
    "evaluate": Command("measures images: FID and its relatives with intervals and protocols", KEEPING),
    "explain": Command("shows schedules, weights and times side by side, and what is inside a model"),
    "study": Command("rows and seeds: plans, runs, statistics, tables, reports"),
    "runs": Command("lists runs: status, scores, W&B, what they set"),
    "info": Command("tells what is known of a run", function="runs.info"),
    "data": Command("packs data sets into shards, and tells what they are", KEEPING),
    "weights": Command("lists and fetches the weights of feature extractors"),
    "doctor": Command("examines the environment: versions, GPUs, network, disks, data, SLURM"),
}

VERSION = "--version"
"""The last word of a command line that asks which difflab this is."""

_STARTED = "DIFFLAB_COMMAND"


def main() -> None:
    """The program `difflab`."""
    named = [word for word in (*sys.argv[1:2], os.environ.get(_STARTED)) if word in COMMANDS]
    owned(chosen, COMMANDS[named[0]].stage if named else BRIEF)


def program(command: str) -> None:
    """A program of its own: train.py, sample.py, evaluate.py, study.py, data.py."""
    owned(lambda: run(command), COMMANDS[command].stage)


def owned(work: Callable[[], None], stage: Stage) -> None:
    """Works in a process that is difflab's own: neither a signal nor an output that nobody reads ends it before its work is safe."""
    output = keep_outputs()  # first of all: what opens a file would get the number of a closed output
    signals.begin(stage)
    ends_well = False
    try:
        if sys.argv[-1] == VERSION:
            print(f"difflab {__version__}")
        else:
            work()
        ends_well = True
    finally:
        brief = signals.stage is BRIEF
        signals.enter(WRITING)
        sys.stdout.flush()
        if output.lost is not None and not is_unread(output.lost):
            print(f"error: the standard output takes nothing any more: {output.lost.strerror}", file=sys.stderr)
            if brief or ends_well:  # other ends have a status of their own
                sys.exit(2)


def chosen() -> None:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS and os.environ.get(_STARTED) in COMMANDS:
        sys.argv.insert(
            1, os.environ[_STARTED]
        )  # a process that Lightning starts beside the first repeats its arguments without the command
        command = sys.argv[1]
    if command not in COMMANDS:
        if command not in ("", "-h", "--help"):
            print(f"error: there is no command {command!r}", file=sys.stderr)
        lines = [f"  difflab {name:8} {known.purpose}" for name, known in COMMANDS.items()]
        print(
            "usage: difflab <command> [arguments]\n\n"
            + "\n".join(lines)
            + "\n\ndifflab <command> --help tells more; difflab --version says which one this is."
        )
        sys.exit(0 if command in ("", "-h", "--help") else 2)
    os.environ[_STARTED] = command
    del sys.argv[1]
    run(command)


def run(command: str) -> None:
    """Runs a command."""
    signals.enter(COMMANDS[command].stage)
    function_of(command)()


def function_of(command: str) -> Callable[[], None]:
    """What a command runs; its module is imported now."""
    module, _, function = (COMMANDS[command].function or f"{command}.main").partition(".")
    return getattr(importlib.import_module(f"difflab.cli.{module}"), function)
