"""Kills training again and again, each time starts it by the same command, and compares the end with that of an undisturbed run.

    python scripts/chaos.py --kills 20 --processes 2

Every kill hits at a random moment with a random signal, SIGKILL among them. Exit status 0: the weights of all tracks, the metrics and the
samples are those of the undisturbed run, to the bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
SMALL = [
    "+experiment=cosine_adagn",
    "network.width=16",
    "network.dropout=0.1",
    "schedule.steps=20",
    "objective/time_sampler=loss_second_moment",
    "sampler.grid.steps=5",
    "eval.num_samples=80",
    "eval.batch_size=40",
    "eval.every=40",
    "checkpoint.every=7",
    "trainer.log_every_n_steps=5",
    "trainer.accelerator=cpu",
    "logger=none",
]


def command(root: Path, arguments: argparse.Namespace) -> list[str]:
    parallel = [f"trainer.devices={arguments.processes}", "strategy=ddp"] if arguments.processes > 1 else []
    steps = f"trainer.max_steps={arguments.steps}"
    return [sys.executable, str(ROOT / "train.py"), *SMALL, steps, *parallel, *arguments.overrides, f"run.root={root}"]


def run_to_the_end(root: Path, arguments: argparse.Namespace) -> float:
    """Starts the command until it ends by itself; returns the seconds from the last start to its end."""
    began = time.monotonic()
    result = subprocess.run(command(root, arguments), cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600)
    if result.returncode:
        sys.exit(f"training failed with status {result.returncode}:\n{result.stdout[-2000:]}{result.stderr[-4000:]}")
    return time.monotonic() - began


def kill_once(root: Path, arguments: argparse.Namespace, chance: random.Random) -> str:
    """Starts the command, waits until it trains and a moment longer, and kills it with all its processes."""
    process = subprocess.Popen(
        command(root, arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None
    number = chance.choice(SIGNALS)
    for line in process.stdout:  # killed in set-up, too, once in a while
        if line.startswith("judged by") and chance.random() < 0.2:
            break
        if line.startswith("step "):
            break
    time.sleep(chance.random() * arguments.longest_wait)
    if process.poll() is None:
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    rest = process.communicate(timeout=300)[0]
    if process.returncode not in (0, 75, -signal.SIGKILL, -number):
        sys.exit(f"{number.name} ended training with status {process.returncode}:\n{rest[-4000:]}")
    return f"{number.name}: status {process.returncode}"


def outcome(root: Path) -> dict:
    """What a finished run is compared by."""
    (run,) = (path.parent for path in root.glob("*/*/complete.json"))
    text = subprocess.run(
        [sys.executable, "-m", "difflab", "info", str(run), "--json"], capture_output=True, encoding="utf-8", check=True
    ).stdout
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for clocked in ("train/images_per_second", "train/data_wait_share"):
            row.pop(clocked, None)
    return {
        "weights": json.loads(text)["weights_sha256"],
        "metrics": rows,
        "samples": {path.name: path.read_bytes().hex() for path in sorted((run / "samples").glob("*.png"))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--longest-wait", type=float, default=1.5, help="seconds of training before a kill, at most")
    parser.add_argument("overrides", nargs="*", help="more overrides of the command")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed = Path(folder) / "undisturbed", Path(folder) / "disturbed"
        seconds = run_to_the_end(undisturbed, arguments)
        print(f"undisturbed: {arguments.steps} steps in {seconds:.1f} s", flush=True)
        for kill in range(arguments.kills):
            print(f"kill {kill + 1}: {kill_once(disturbed, arguments, chance)}", flush=True)
            if list(disturbed.glob("*/*/complete.json")):
                print("the run is complete before all kills were done: use more --steps")
                break
        run_to_the_end(disturbed, arguments)
        expected, found = outcome(undisturbed), outcome(disturbed)
    different = [part for part in expected if expected[part] != found[part]]
    print("weights " + json.dumps(found["weights"]))
    if different:
        sys.exit(f"different from the undisturbed run: {', '.join(different)}")
    print("weights, metrics and samples are those of the undisturbed run")


if __name__ == "__main__":
    main()
