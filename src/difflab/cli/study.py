"""Studies: `study.py <study> plan | launch | status | cancel | retry | table | report | sync`, and `study.py compare RUN_A RUN_B ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from difflab.runtime.invocation import command, program
from difflab.studies.planning.plan_cache import Request
from difflab.suggest import near_name, suggestion

HELP = """$program: from a question to a table with error bars

  $study list                       the studies that there are
  $study STUDY plan                 runs, parameters, FLOPs, cost; refuses rows that differ in more than they declare
  $study STUDY launch               runs what is missing or was interrupted, in the background; again: goes on
  $study STUDY status [--json]      done, running, queued, failed; --watch refreshes
  $study STUDY cancel | retry       stops what runs (it saves) | runs what has failed once more
  $study STUDY table                the ablation table: format=markdown|latex|csv|html [out=FILE.tex]
  $study STUDY report               one HTML page: out=FILE; also in W&B where the runs are (not with logger=none)
  $study STUDY report --wandb       a W&B report of the runs instead
  $study STUDY sync                 uploads offline W&B runs, once each
  $study compare RUN_A RUN_B ...    runs outside of a study: [waive=[FIELD,...]] [info={METRIC: {...}}] [out=SAMPLES.png] [--json]

  STUDY is a folder in experiments/, or the path of a study's file or of the folder of a study.yaml.

  Options of plan, and of all that follows from it (give the same to each command)
    match=params|flops       sets each row's width so that parameters or FLOPs equal the baseline's (solve=network.depth: its depth)
    KEY=VALUE                any override of $train, for all rows: trainer.accelerator=gpu, run.root=/scratch/runs, +shrink=tiny
  Options of plan
    difference=0.5           how many seeds show this difference of the deciding metric? difference=5%: of one that is a ratio, as FID
    sd=0.4                   standard deviation of paired differences, where no finished runs tell it; sd=6% likewise
    rate=1e14                FLOPs per second of the machine, for an estimate of hours
  Options of launch and retry
    jobs=2                   runs at a time on this machine; with SLURM: tasks of the array at a time
    launcher=slurm ...       one job array, with the launcher.* values of $train; launcher.dry_run=true prints the scripts
    --wait                   stays until all is done
  Options of table
    missing=allow            also with rows whose seeds are not all there; a report shows what there is, and says what is missing"""

FLAGS = ("--json", "--wandb", "--wait", "--watch")

VERBS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "plan": ("study_plan", ("--json",)),
    "launch": ("study_runs", ("--wait",)),
    "retry": ("study_runs", ("--wait",)),
    "status": ("study_status", ("--json", "--watch")),
    "cancel": ("study_runs", ()),
    "table": ("study_results", ()),
    "report": ("study_results", ("--wandb",)),
    "sync": ("study_results", ()),
}
"""Verb -> module whose function of that name does it, and the flags that it knows."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "match": tuple(VERBS),
    "solve": tuple(VERBS),
    "difference": ("plan",),
    "sd": ("plan",),
    "rate": ("plan", "report"),
    "jobs": ("launch", "retry"),
    "missing": ("table",),
    "format": ("table",),
    "out": ("table", "report"),
    "entity": ("report",),
}
"""Option -> verbs that know it; every other KEY=VALUE is an override of train.py."""

LAUNCHER = "launcher"
"""Words that begin with it say where runs are executed, and not what they are."""


def main() -> None:
    """The command line of study.py."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import arguments, wants_help
    from difflab.runtime.home import check_surroundings
    from difflab.runtime.memory import end_at_once, spared

    words = arguments()
    if not words or wants_help(words):
        print(Template(HELP).substitute(study=command("study"), program=program("study"), train=program("train")))
        sys.exit(0 if words else 2)
    end_at_once()
    if missing := check_surroundings():
        fail(missing)
    try:
        if words[0] == "list":
            print(listing())
        elif words[0] == "compare":
            with spared():
                module = importlib.import_module("difflab.cli.study_compare")
            module.compare(words[1:])
        else:
            request = understood(words)
            with spared():
                module = importlib.import_module(f"difflab.cli.{VERBS[request.verb][0]}")
            getattr(module, request.verb)(request)
    except (ValueError, OSError, ImportError, RuntimeError) as error:  # errors of difflab's own are of these kinds
        if not type(error).__module__.startswith("difflab") and not isinstance(
            error, ValueError | OSError | ImportError
        ):
            raise
        fail(" ".join(str(error).split()))


def understood(words: Sequence[str]) -> Request:
    """A ValueError says which word is wrong."""
    flags = frozenset(word for word in words if word.startswith("--"))
    plain = [word for word in words if not word.startswith("--")]
    file = study_file(plain[0] if plain else "")
    verb = plain[1] if len(plain) > 1 else ""
    if verb not in VERBS:
        said = f"there is no study command {verb!r}" if verb else f"say what to do with {plain[0]}"
        raise ValueError(f"{said}: {_there_are(verb, list(VERBS))}")
    for flag in sorted(flags - {*VERBS[verb][1]}):
        raise ValueError(
            f"{verb} has no {flag}: {_there_are(flag, list(VERBS[verb][1]))}; values are given as key=value"
        )
    options, overrides = dict[str, str](), list[str]()
    for word in plain[2:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} cannot be read as key=value")
        if key in OPTIONS:
            if verb not in OPTIONS[key]:
                raise ValueError(f"{verb} has no option {key}: it belongs to {', '.join(OPTIONS[key])}")
            options[key] = value
        else:
            _check_no_option(key)
            overrides.append(word)
    return Request(plain[0], file, verb, flags, options, tuple(overrides))


def divided(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides that belong to the runs, and those of the launcher."""
    words = [word for word in overrides if word.lstrip("+").partition("=")[0].partition(".")[0] == LAUNCHER]
    return [word for word in overrides if word not in words], words


def _check_no_option(key: str) -> None:
    """A ValueError if the key is no override of train.py, and nearly an option."""
    from difflab.config.paths import is_group

    near = near_name(key, OPTIONS, cutoff=0.75)
    if near and not is_group(key):
        raise ValueError(f"{key} is neither an option nor an override of {program('train')}: did you mean {near}=...?")


def study_file(name: str) -> Path:
    """experiments/<name>/study.yaml, or a path to a study.yaml or its folder."""
    from difflab.config.paths import experiments_directory

    folder = experiments_directory()
    for path in (folder / name / "study.yaml", Path(name) / "study.yaml", Path(name)):
        if name and path.is_file():
            return path
    known = sorted(path.parent.name for path in folder.glob("*/study.yaml"))
    own = _own_studies(Path(name).parent if name else Path())
    if near := near_name(name, [*own, *known]):
        raise ValueError(f"there is no study {name!r}: did you mean {near!r}?")
    here = f"in {Path(name).parent}/ there are {', '.join(own)}; " if own else ""
    raise ValueError(
        f"there is no study {name!r}: {here}{', '.join(known)} come with difflab (study.py list says what they ask)"
    )


def _own_studies(folder: Path) -> list[str]:
    """What in a folder could be a study, as it is typed."""
    try:
        files = [path for path in (*folder.glob("*.yaml"), *folder.glob("*.yml")) if path.is_file()]
        return sorted(map(str, [*files, *(path.parent for path in folder.glob("*/study.yaml"))]))
    except OSError:
        return []


def listing() -> str:
    """Every study with its question."""
    from difflab.config.paths import experiments_directory
    from difflab.studies.spec import load_study

    studies = [load_study(path) for path in sorted(experiments_directory().glob("*/study.yaml"))]
    width = max((len(study.name) for study in studies), default=0)
    return "\n".join(
        f"{s.name:{width}}  {len(s.rows)} rows x {len(s.seeds)} seeds{f' + {len(s.cited)} cited' if s.cited else ''}  {s.question}"
        for s in studies
    )


def number(options: Mapping[str, str], key: str) -> float | None:
    """The value of an option that is a number above 0."""
    if key not in options:
        return None
    try:
        value = float(options[key])
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{key}={options[key]}: expected a number above 0")
    return value


def _there_are(name: str, names: Sequence[str]) -> str:
    return suggestion(name, names)
