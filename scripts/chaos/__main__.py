"""The command line, and the table at its end."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import scripts.chaos
from scripts.chaos.broken_files import (
    BrokenNote,
    DamagedCheckpoint,
    EmptyProvenance,
    ForeignCheckpoint,
    OddNames,
    TornMetrics,
)
from scripts.chaos.disks import LargestFile, NoRoomAtStart, NoRoomForCheckpoint, Renamed
from scripts.chaos.processes import Twice, WandbKilled, WorkerKilled
from scripts.chaos.scenario import Scenario, Unavailable
from scripts.chaos.signals import ClosedOutput, HungUp, Kills, StartUp, ToAll, TwiceInterrupted
from scripts.chaos.training import Broke, Training


@dataclass(frozen=True)
class Result:
    """What came of a scenario: held, BROKE or not tried."""

    verdict: str
    scenario: Scenario
    seen: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.verdict:9} {self.scenario.name:14} {self.seconds:5.0f} s  {self.scenario.what}: {self.seen}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m scripts.chaos",
        description=scripts.chaos.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scenarios whose names begin so")
    parser.add_argument("--list", action="store_true", help="the scenarios")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals of the kills")
    parser.add_argument("--longest-wait", type=float, default=1.0, help="seconds of training before a kill, at most")
    parser.add_argument("overrides", nargs="*", help="more overrides of the command; put them behind --")
    return parser.parse_args()


def scenarios(given: argparse.Namespace) -> list[Scenario]:
    every: list[Scenario] = [
        Kills(given.kills, given.seed, given.longest_wait),
        *(ToAll(), StartUp(), TwiceInterrupted(), HungUp(), ClosedOutput()),
        *(WandbKilled(), WorkerKilled(), Twice()),
        *(NoRoomAtStart(), NoRoomForCheckpoint(), LargestFile(), Renamed()),
        *(TornMetrics(), EmptyProvenance(), OddNames(), ForeignCheckpoint(), DamagedCheckpoint(), BrokenNote()),
    ]
    return [one for one in every if not given.only or one.name.startswith(tuple(given.only))]


def tried(scenario: Scenario, half: Training, root: Path, expected: dict) -> Result:
    """Disturbs a copy of a run that stands on its way, has it go on, and compares its end."""
    began, training = time.monotonic(), half.copy_to(root)
    root.mkdir()
    shutil.copytree(half.root, training.root)
    try:
        seen = scenario.disturb(training)
        training.to_the_end()
        found = training.outcome()
        if different := [part for part in expected if expected[part] != found[part]]:
            raise Broke(f"{seen}; but in the end other {' and '.join(different)}")
    except Unavailable as reason:
        return Result("not tried", scenario, str(reason), time.monotonic() - began)
    except (Broke, subprocess.TimeoutExpired) as error:
        return Result("BROKE", scenario, str(error), time.monotonic() - began)
    return Result("held", scenario, f"{seen}; the end is the undisturbed one", time.monotonic() - began)


def with_disks_of_its_own() -> None:
    """Starts anew where file systems can be mounted, if the machine lets it."""
    unshare = [shutil.which("unshare") or "", "--user", "--map-root-user", "--mount"]
    if "DIFFLAB_CHAOS_DISKS" in os.environ or not unshare[0]:
        return
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0:
        os.environ["DIFFLAB_CHAOS_DISKS"] = "1"
        os.execv(unshare[0], [*unshare, sys.executable, "-m", "scripts.chaos", *sys.argv[1:]])


def main() -> None:
    given = arguments()
    chosen = scenarios(given)
    if given.list or not chosen:
        print(
            "\n".join(
                f"{one.name:14} {one.what}"
                for one in (chosen or scenarios(argparse.Namespace(**vars(given) | {"only": None})))
            )
        )
        sys.exit(0 if chosen else 2)
    with_disks_of_its_own()
    with tempfile.TemporaryDirectory(prefix="chaos ") as folder:
        undisturbed = Training(Path(folder) / "undisturbed", given.overrides, given.steps, given.processes)
        began = time.monotonic()
        undisturbed.to_the_end()
        expected = undisturbed.outcome()
        print(f"undisturbed: {given.steps} steps in {time.monotonic() - began:.0f} s, with its start", flush=True)
        half = undisturbed.copy_to(Path(folder) / "half")
        started = half.start().reaches(rf"^step {max(5, given.steps // 20 * 5)}/")
        started.process.send_signal(signal.SIGTERM)
        started.ends(75)
        results = []
        for number, scenario in enumerate(chosen):
            results.append(tried(scenario, half, Path(folder) / str(number), expected))
            print(results[-1], flush=True)
    print(f"\n{'':9} {'scenario':14}    time  what was done: what was seen")
    print("\n".join(map(str, results)))
    broke = [result.scenario.name for result in results if result.verdict == "BROKE"]
    print(f"\n{len(results) - len(broke)} of {len(results)} held" + (f"; broke: {', '.join(broke)}" if broke else ""))
    sys.exit(1 if broke else 0)


if __name__ == "__main__":
    try:
        main()
    except Broke as error:
        sys.exit(f"undisturbed training failed: {error}")
