"""The runs that there are, `difflab runs [FOLDER] [key=value ...]`, and what is known of one, `difflab info RUN`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.reading.json import dumps

if TYPE_CHECKING:
    from difflab.runs.listing import ListedRun

HELP = """difflab runs: the runs below a folder, a line on each

  difflab runs                                  those below runs/
  difflab runs /scratch/runs status=complete    of another folder; only such runs
  difflab runs experiment=cosine_adagn seed=0 optimizer.lr=2e-4
                                                only those of which all of this is true: experiment, seed, status, identity, wandb,
                                                or any key of their configuration, whether their command has set it or not
  difflab runs sort=frechet                     by the score whose name has this in it, the smallest first; or sort=step|seed|changed
  difflab runs --json                           for programs"""

INFO = "usage: difflab info <run directory> [--json]"

COLUMNS = ("experiment", "seed", "status", "identity", "wandb", "step", "changed")
"""Fields of a run by which it is chosen and sorted."""


def main() -> None:
    """The command line of `difflab runs`."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import Words, arguments
    from difflab.runs.listing import ROOT, ListedRun, listed, settings

    words = Words(HELP)
    words.add_argument("words", metavar="[FOLDER] [key=value ...]", nargs="*")
    words.add_argument("--json", action="store_true")
    given = words.parse_intermixed_args(arguments())
    folders = [word for word in given.words if "=" not in word]
    wanted = settings([word for word in given.words if "=" in word])
    if len(folders) > 1:
        fail(f"{' '.join(folders)!r} is not understood: give one folder, and key=value; --help tells more")
    folder = Path(folders[0]) if folders else ROOT
    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the one of run.root=..., as difflab runs /data/runs")
    found = list(listed(folder))
    for broken in (one for one in found if not isinstance(one, ListedRun)):
        print(f"left out: {broken}", file=sys.stderr)
    order = wanted.pop("sort", "changed")
    runs = [run for run in found if isinstance(run, ListedRun) and _fits(run, wanted)]
    runs.sort(key=lambda run: _place(run, order))
    print(dumps([asdict(run) for run in runs], indent=2) if given.json else as_text(runs))


def info() -> None:
    """The command line of `difflab info`."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import Words, arguments
    from difflab.runtime.process import end_at_once, gc_paused

    end_at_once()
    words = Words(INFO)
    words.add_argument("run", metavar="<run directory>", nargs="?")
    words.add_argument("--json", action="store_true")
    given = words.parse_intermixed_args(arguments())
    if given.run is None:
        print(INFO)
        sys.exit(2)
    with gc_paused():
        from difflab.runs.info import as_text as told
        from difflab.runs.info import info as known
        from difflab.runs.listing import found_run
    try:
        facts = known(found_run(given.run))
    except ValueError as error:
        fail(str(error))
    with gc_paused():
        from difflab.studies.planning.counterparts import as_text as counted
        from difflab.studies.planning.counterparts import work
    network = work(Path(facts["path"]) / "config.yaml")
    as_lines = "\n".join([told(facts), *counted(network)])
    print(dumps({**facts, "network": network}, indent=2) if given.json else as_lines)


def as_text(runs: Sequence[ListedRun]) -> str:
    """A line for each run, and one that names the columns."""
    from difflab.formatting import aligned
    from difflab.reading import printable

    rows = [("status", "step", "experiment", "seed", "scores", "W&B", "changed", "directory", "set by its command")]
    for run in runs:
        scores = " ".join(f"{name.removeprefix('eval/')}={value:.4g}" for name, value in list(run.scores.items())[:2])
        seed = "?" if run.seed is None else str(run.seed)
        when = run.changed[:16].replace("T", " ")
        rows.append(
            (
                run.status,
                str(run.step),
                run.experiment,
                seed,
                scores,
                run.wandb,
                when,
                run.path,
                " ".join(run.overrides),
            )
        )
    return printable(aligned(rows) if runs else "no such run")


def _fits(run: ListedRun, wanted: dict[str, str]) -> bool:
    """Whether all that is wanted is true of a run; its configuration is read where nothing else can tell."""
    from difflab.runs.listing import configured, settings

    own = {**settings(run.overrides), **{key: str(getattr(run, key)) for key in COLUMNS}}
    asked = {key: value for key, value in wanted.items() if own.get(key) != value}
    if not asked or any(key in COLUMNS for key in asked):
        return not asked
    found = configured(Path(run.path))
    return all(key in found and _is(found[key], value) for key, value in asked.items())


def _is(value: Any, wanted: str) -> bool:
    """Whether a value is what somebody has typed: 0.0002 is 2e-4, a part is its class."""
    from difflab.reading import FileError, parse_yaml

    try:
        typed = parse_yaml(wanted, "the command")
    except FileError:
        return False
    if isinstance(value, bool) or isinstance(typed, bool) or typed is None:
        return value is typed
    try:
        return float(value) == float(typed)
    except (TypeError, ValueError):
        return value == typed


def _place(run: ListedRun, order: str) -> tuple[float, str]:
    """Where a run stands; one without such a score after the others."""
    if order in COLUMNS:
        value = getattr(run, order)
        return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))
    found = next((value for name, value in run.scores.items() if order in name), math.inf)
    return (math.inf if math.isnan(found) else found, run.path)
