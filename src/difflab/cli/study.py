"""Studies: `study.py <study> plan | launch | status | cancel | retry | table | report | sync`, and `study.py compare RUN_A RUN_B ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from string import Template

from difflab.runtime.invocation import command, program
from difflab.studies.catalogue import find_family, find_study, study_list
from difflab.studies.planning.plan_cache import Request
from difflab.suggest import near_name, suggestion

HELP = """$program: from a question to a table with error bars

  $study list                       the studies that there are
  $study STUDY plan                 runs, parameters, FLOPs, cost; refuses rows that differ in more than they declare
  $study STUDY launch               runs what is missing or was interrupted, in the background; again: goes on
  $study STUDY status [--json]      done, running, queued, failed; --watch refreshes
  $study STUDY cancel | retry       stops what runs (it saves) | runs what has failed once more
  $study STUDY table                the ablation table: format=markdown|text|latex|csv|html [out=FILE.tex]
  $study STUDY report               one HTML page: out=FILE; also in W&B where the runs are (not with logger=none)
  $study STUDY report --wandb       a W&B report of the runs instead
  $study FOLDER table               of a folder of studies, as claims: a line for each row, beside what the literature says
  $study STUDY sync                 uploads offline W&B runs, once each
  $study compare RUN_A RUN_B ...    runs outside of a study: [waive=[FIELD,...]] [info={METRIC: {...}}] [out=SAMPLES.png] [--json]

  STUDY is a folder in experiments/, as claims/schedule, or the path of a study's file or of the folder of a study.yaml.

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
    missing=allow            also with rows whose seeds are not all there; a report shows what there is, and says what is missing
  Option of report
    pictures=150             kilobytes of samples and strips in the page at most (2000 without it); 0 leaves them out"""

VERBS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "plan": ("study_runs", ("--json",)),
    "launch": ("study_runs", ("--wait",)),
    "retry": ("study_runs", ("--wait",)),
    "status": ("study_runs", ("--json", "--watch")),
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
    "pictures": ("report",),
    "entity": ("report",),
}
"""Option -> verbs that know it; every other KEY=VALUE is an override of train.py."""


def main() -> None:
    """The command line of study.py."""
    from difflab.cli.endings import fail
    from difflab.cli.entry import arguments, wants_help
    from difflab.runtime.invocation import check_surroundings
    from difflab.runtime.process import end_at_once, gc_paused

    words = arguments()
    if not words or wants_help(words):
        print(Template(HELP).substitute(study=command("study"), program=program("study"), train=program("train")))
        sys.exit(0 if words else 2)
    end_at_once()
    if missing := check_surroundings():
        fail(missing)
    try:
        if words[0] == "list":
            print(study_list())
            return
        request = None if words[0] == "compare" else understood(words)
        with gc_paused():
            name = "study_results" if request is None else _module(request)
            module = importlib.import_module(f"difflab.cli.{name}")
        if request is None:
            module.compare(words[1:])
        else:
            getattr(module, request.verb)(request)
    except (ValueError, OSError, ImportError) as error:
        fail(" ".join(str(error).split()))
    except RuntimeError as error:  # some errors of difflab's own are of this kind
        if not type(error).__module__.startswith("difflab"):
            raise
        fail(" ".join(str(error).split()))


def _module(request: Request) -> str:
    return "study_family" if request.file.is_dir() else VERBS[request.verb][0]


def understood(words: Sequence[str]) -> Request:
    """What a command line asks of a study, or of a folder of them.

    Raises:
        ValueError: A word is wrong; the message says which.
    """
    plain = [word for word in words if not word.startswith("--")]
    name, verb, *settings = [*plain, "", ""][: max(2, len(plain))]
    family = find_family(name) if verb == "table" else None
    file = find_study(name) if family is None else family.folder
    if verb not in VERBS:
        said = f"there is no study command {verb!r}" if verb else f"say what to do with {name}"
        raise ValueError(f"{said}: {suggestion(verb, VERBS)}")
    flags, known = frozenset(words) - {*plain}, VERBS[verb][1]
    for flag in sorted(flags - {*known}):
        raise ValueError(f"{verb} has no {flag}: {suggestion(flag, known)}; values are given as key=value")
    given = dict[str, str]()
    overrides = [word for word in settings if not _is_option(word, verb, given)]
    return Request(name, file, verb, flags, given, tuple(overrides))


def _is_option(word: str, verb: str, given: dict[str, str]) -> bool:
    """Whether a word is an option of the study, which is then among those given, and no override of train.py."""
    from difflab.config.paths import is_group

    key, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} cannot be read as key=value")
    if key in OPTIONS:
        if verb not in OPTIONS[key]:
            raise ValueError(f"{verb} has no option {key}: it belongs to {', '.join(OPTIONS[key])}")
        given[key] = value
        return True
    near = near_name(key, OPTIONS, cutoff=0.75)
    if near and not is_group(key):
        raise ValueError(f"{key} is neither an option nor an override of {program('train')}: did you mean {near}=...?")
    return False
