"""`study.py STUDY launch | retry | cancel`. The last two go by the plan that was launched: torch is imported only to plan anew."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from difflab.cli.study import LAUNCHER, divided
from difflab.runtime.invocation import command
from difflab.studies import execution as running
from difflab.studies.execution import Executor, Launched, Planned, Pool, SlurmArray, StudyFolder
from difflab.studies.planning import Plan
from difflab.studies.planning.plan_cache import Request, current_plan, recall


def launch(request: Request) -> None:
    """Submits what is missing or was interrupted."""
    overrides, words = divided(request.overrides)
    plan = _planned(request, overrides)
    _submitted(running.launch(plan, _executor(plan, words, request)), plan, request)


def retry(request: Request) -> None:
    """Submits what has failed, too. Overrides of a divergence's remedy are for the failed ones alone."""
    overrides, words = divided(request.overrides)
    remedies = [word for word in overrides if word.startswith("divergence")]
    shaping = [word for word in overrides if word not in remedies]
    plan = recall(request, shaping)
    if plan is None or not StudyFolder(plan.root.resolve()).preregistration.exists():
        plan = _planned(request, shaping)
        running.preregister(plan)
    _submitted(running.retry(plan, _executor(plan, words, request), remedies), plan, request)


def cancel(request: Request) -> None:
    """Stops what waits and what runs, wherever it was launched."""
    overrides = divided(request.overrides)[0]
    root = current_plan(request, overrides).root
    said = [*Pool().cancel(root), *SlurmArray.cancel(root)]
    print("\n".join(said) or "no running or queued jobs")


def _planned(request: Request, overrides: Sequence[str]) -> Plan:
    """The plan, whose evaluations will give what the study reports."""
    from difflab.studies.planning.planning import check_measured, plan_runs

    plan = check_measured(plan_runs(request, overrides))
    if other := running.namesake(plan):
        print(f"note   {other}")
    return plan


def _executor(plan: Planned, words: Sequence[str], request: Request) -> Executor:
    jobs = request.options.get("jobs")
    if jobs is not None and not (jobs.isdigit() and int(jobs)):
        raise ValueError(f"jobs={jobs}: expected how many tasks run at a time, at least 1")
    if any(word.partition("=")[2] == "slurm" for word in words):
        return _array(plan, words, int(jobs or 0))
    if words:
        raise ValueError(f"{words[0]}: on this machine there is jobs=N alone; launcher=slurm makes a job array")
    return Pool(int(jobs or 1))


def _array(plan: Planned, words: Sequence[str], limit: int) -> SlurmArray:
    """The same nodes and GPUs for trainings and evaluations."""
    from difflab.config.build import build
    from difflab.config.resolve import resolve_row

    command = [word for word in plan.trainings[0].overrides if not word.startswith("run.name=")]
    chosen = words if any(word.startswith(f"{LAUNCHER}=") for word in words) else [f"{LAUNCHER}=slurm", *words]
    job = build(resolve_row([*command, *chosen]).config["launcher"])
    if not job.makes_arrays:
        raise ValueError(f"{' '.join(chosen)}: a study runs on this machine, or with launcher=slurm")
    return SlurmArray(job, job, limit)


def _submitted(launched: Launched, plan: Planned, request: Request) -> None:
    for line in launched.said:
        print(line)
    reasons = Counter(decision.why for decision in launched.skipped)
    for why, count in reasons.items():
        print(f"{count} of {len(launched.decisions)} trainings left as they are: {why}")
    if "--wait" in request.flags:
        running.watch(lambda: running.states(plan, running.ask(plan.root)), Console())
    elif launched.submitted:
        words = [request.study, "status", "--watch", *divided(request.overrides)[0]]
        print(f"watch  {command('study')} {shlex.join(words)}")
