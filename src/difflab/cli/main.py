"""`difflab <command>`: what train.py and sample.py are in a source tree, and more."""

from __future__ import annotations

import importlib
import os
import sys

COMMANDS = {
    "train": "trains a model and scores its samples",
    "sample": "draws images from a run or a checkpoint",
    "evaluate": "measures images: FID and its relatives with intervals and protocols",
    "study": "rows and seeds: plans, runs, statistics, tables, reports",
    "info": "tells what is known of a run",
    "data": "packs data sets into shards, and tells what they are",
    "weights": "lists and fetches the weights of feature extractors",
    "doctor": "examines the environment: versions, GPUs, network, disks, data, SLURM",
}


_STARTED = "DIFFLAB_COMMAND"


def main() -> None:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS and os.environ.get(_STARTED) in COMMANDS:
        sys.argv.insert(
            1, os.environ[_STARTED]
        )  # a process that Lightning starts beside the first repeats its arguments without the command
        command = sys.argv[1]
    if command not in COMMANDS:
        lines = [f"  difflab {name:8} {what}" for name, what in COMMANDS.items()]
        print(
            "usage: difflab <command> [arguments]\n\n" + "\n".join(lines) + "\n\ndifflab <command> --help tells more."
        )
        sys.exit(0 if command in ("", "-h", "--help") else 2)
    os.environ[_STARTED] = command
    del sys.argv[1]
    importlib.import_module(f"difflab.cli.{command}").main()
