"""`study.py STUDY plan | launch | status | retry | cancel`. The last three go by the last plan: torch is imported only to plan anew."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console

from difflab.reading import read_json
from difflab.reading.json import dumps
from difflab.runtime.invocation import command
from difflab.studies import execution as running
from difflab.studies.execution import Executor, Launched, Planned, Pool, SlurmArray, StudyFolder
from difflab.studies.execution.state import notes_of, told_notes
from difflab.studies.planning import Plan
from difflab.studies.planning.plan_cache import Request, current_plan, recall
from difflab.studies.scale import Margin, read_margin


def plan(request: Request) -> None:
    """Prints the plan. A StudyError afterwards where nothing could be launched for want of weights."""
    rate = _rate(request)
    sd, wanted = _size(request, "sd"), _size(request, "difference")
    from difflab.studies.planning.planning import check_measured, planned
    from difflab.studies.report.plan import as_json, plan_notes, plan_table

    found = planned(request, request.overrides)
    if "--json" in request.flags:
        print(dumps(as_json(found, rate), indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(f"[bold]{found.study.name}[/]  {found.study.question}", soft_wrap=True)
    console.print(plan_table(found))
    for line in plan_notes(found, rate, sd, wanted):
        console.print(line, soft_wrap=True, markup=False)
    if not found.lacking or found.lacking in (found.unmeasured or ""):
        check_measured(found)


def _rate(request: Request) -> float | None:
    given = request.options.get("rate")
    try:
        rate = None if given is None else float(given)
    except ValueError:
        rate = 0.0
    if rate is not None and not rate > 0:
        raise ValueError(f"rate={given}: expected a number above 0")
    return rate


def _size(request: Request, key: str) -> Margin | None:
    """The value of an option that is a difference of the deciding metric: 0.5, or 5% of one that is compared as a ratio."""
    try:
        return read_margin(request.options[key]) if key in request.options else None
    except ValueError as error:
        raise ValueError(f"{key} = {error}") from error


def status(request: Request) -> None:
    """Shows where every cell is."""
    plan = current_plan(request, request.of_runs)
    found = running.states(plan)
    if "--json" in request.flags:
        print(dumps(running.as_json(found) | {"cited": list(plan.cited)}, indent=2))
    elif "--watch" in request.flags:
        running.watch(lambda: running.states(plan), Console())
    else:
        running.show(found, Console())
        for line in plan.cited:
            print(f"cited {line}")
        for line in _notes(plan):
            print(f"note  {line}")
        print(f"runs  {plan.root.resolve()}")


def _notes(plan: Planned) -> list[str]:
    """What finished evaluations have to say of their numbers."""
    found = {}
    for cell in plan.cells:
        file = plan.training(cell).directory / cell.folder / "results.json"
        with suppress(OSError, ValueError, AttributeError, KeyError):
            found[cell.row, cell.seed] = notes_of(read_json(file)["subject"])
    return told_notes(found)


def launch(request: Request) -> None:
    """Submits what is missing or was interrupted."""
    plan = _planned(request, request.of_runs)
    _submitted(running.launch(plan, _executor(plan, request)), plan, request)


def retry(request: Request) -> None:
    """Submits what has failed, too. Overrides of a divergence's remedy are for the failed ones alone."""
    remedies = [word for word in request.of_runs if word.startswith("divergence")]
    shaping = [word for word in request.of_runs if word not in remedies]
    plan = recall(request, shaping)
    if plan is None or not StudyFolder(plan.root.resolve()).preregistration.exists():
        plan = _planned(request, shaping)
        running.preregister(plan)
    _submitted(running.retry(plan, _executor(plan, request), remedies), plan, request)


def cancel(request: Request) -> None:
    """Stops what waits and what runs, wherever it was launched."""
    root = current_plan(request, request.of_runs).root
    said = [*Pool().cancel(root), *SlurmArray.cancel(root)]
    print("\n".join(said) or "no running or queued jobs")


def _planned(request: Request, overrides: Sequence[str]) -> Plan:
    """The plan, whose evaluations will give what the study reports."""
    from difflab.studies.planning.planning import check_measured, plan_runs

    plan = check_measured(plan_runs(request, overrides))
    if other := running.namesake(plan):
        print(f"note   {other}")
    return plan


def _executor(plan: Planned, request: Request) -> Executor:
    jobs, words = request.options.get("jobs"), request.launcher
    if jobs is not None and not (jobs.isdigit() and int(jobs)):
        raise ValueError(f"jobs={jobs}: expected how many tasks run at a time, at least 1")
    if any(word.partition("=")[2] == "slurm" for word in words):
        return SlurmArray.of_words(plan, words, int(jobs or 0))
    if words:
        raise ValueError(f"{words[0]}: on this machine there is jobs=N alone; launcher=slurm makes a job array")
    return Pool(int(jobs or 1))


def _submitted(launched: Launched, plan: Planned, request: Request) -> None:
    for line in launched.said:
        print(line)
    reasons = Counter(decision.why for decision in launched.skipped)
    for why, count in reasons.items():
        print(f"{count} of {len(launched.decisions)} trainings left as they are: {why}")
    if "--wait" in request.flags:
        running.watch(lambda: running.states(plan), Console())
    elif launched.submitted:
        words = [request.study, "status", "--watch", *request.of_runs]
        print(f"watch  {command('study')} {shlex.join(words)}")
