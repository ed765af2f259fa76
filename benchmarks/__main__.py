"""`python -m benchmarks`: measures, and writes a record, its table and its picture. `python -m benchmarks journeys` counts files."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks import journeys
from benchmarks.picture import draw
from benchmarks.record import Record, machine, today, versions
from benchmarks.settings import Settings
from benchmarks.table import page

BENCHES = {
    "training": "images/s of training steps, equal network, against other projects",
    "sampling": "images/s of drawing, equal network, scheduler and steps",
    "evaluation": "FID of N images: features and distance apart",
    "loading": "images/s from files to batches",
    "memory": "peak of a training process",
    "start": "seconds from command to help, to first step",
    "loop": "what the training loop costs beside a bare one: loop, EMA, log, checkpoints",
    "growth": "how time and memory grow with width, depth, size, batch, steps, samples, runs",
}
"""Name of a module here with measure(settings) -> measurements, and what it does."""


def main() -> None:
    if sys.argv[1:2] == ["journeys"]:
        journeys.main(sys.argv[2:])
        return
    options = _options()
    chosen = options.benches or list(BENCHES)
    load, day, found = os.getloadavg()[0], today(), []
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    out = options.out or Path(__file__).parent / "results" / f"{day}-speed-{options.device}.json"
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            settings = Settings(options.rounds, options.quick, torch.device(options.device), Path(scratch) / name)
            settings.scratch.mkdir()
            for measurement in importlib.import_module(f"benchmarks.{name}").measure(settings):
                print(f"{measurement.bench}: {measurement.case}", file=sys.stderr, flush=True)
                found.append(measurement)
            # after each benchmark, so that a failure of the next one costs no more than that
            record = Record(day, command, machine(), versions(), (load, os.getloadavg()[0]), tuple(found))
            record.write(out)
            out.with_suffix(".md").write_text(page(record), encoding="utf-8")
            draw(record, out.with_suffix(".png"))
    print(out)


def _options() -> argparse.Namespace:
    lines = "\n".join(f"  {name:12} {what}" for name, what in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed and memory, beside other projects.", epilog=lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("benches", nargs="*", choices=[[], *BENCHES], metavar="bench", help="all if none is named")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contender (default 7)")
    parser.add_argument("--quick", action="store_true", help="smallest sizes: to see that it runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="the record (default: benchmarks/results/<date>-speed-<device>.json)")
    return parser.parse_args()


main()
