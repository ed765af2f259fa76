"""`study.py STUDY launch | retry | cancel`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from difflab.cli.study import LAUNCHER, divided
from difflab.cli.study_plan import here, measured
from difflab.config.resolve import resolve_row
from difflab.launch.slurm import SlurmJob
from difflab.runtime.invocation import command
from difflab.studies import execution as running
from difflab.studies.execution import Array, Executor, Launched, Pool
from difflab.studies.planning import Plan
from difflab.studies.planning.request import Request


def launch(request: Request) -> None:
    """Submits what is missing or was interrupted."""
    overrides, words = divided(request.overrides)
    plan = measured(here(request, overrides))
    _say_namesake(plan)
    _submitted(running.launch(plan, _executor(plan, words, request)), plan, request)


def retry(request: Request) -> None:
    """Submits what has failed, too. Overrides of a divergence's remedy are for the failed ones alone."""
    overrides, words = divided(request.overrides)
    remedies = [word for word in overrides if word.startswith("divergence")]
    plan = measured(here(request, [word for word in overrides if word not in remedies]))
    _say_namesake(plan)
    _submitted(running.retry(plan, _executor(plan, words, request), remedies), plan, request)


def cancel(request: Request) -> None:
    """Stops what waits and what runs, wherever it was launched."""
    overrides, words = divided(request.overrides)
    plan = here(request, overrides)
    said = [line for executor in (Pool(), _array(plan, words, 0)) for line in executor.cancel(plan.root)]
    print("\n".join(said) or "no running or queued jobs")


def _executor(plan: Plan, words: Sequence[str], request: Request) -> Executor:
    jobs = request.options.get("jobs")
    if jobs is not None and not (jobs.isdigit() and int(jobs)):
        raise ValueError(f"jobs={jobs}: expected how many tasks run at a time, at least 1")
    if any(word.partition("=")[2] == "slurm" for word in words):
        return _array(plan, words, int(jobs or 0))
    if words:
        raise ValueError(f"{words[0]}: on this machine there is jobs=N alone; launcher=slurm makes a job array")
    return Pool(int(jobs or 1))


def _array(plan: Plan, words: Sequence[str], limit: int) -> Array:
    """The same nodes and GPUs for trainings and evaluations."""
    command = [word for word in plan.trainings[0].overrides if not word.startswith("run.name=")]
    chosen = words if any(word.startswith(f"{LAUNCHER}=") for word in words) else [f"{LAUNCHER}=slurm", *words]
    node = OmegaConf.create(dict(resolve_row([*command, *chosen]).config["launcher"]))
    training, evaluation = instantiate(node, _convert_="all"), instantiate(node, _convert_="all")
    if not isinstance(training, SlurmJob):
        raise ValueError(f"{' '.join(chosen)}: a study runs on this machine, or with launcher=slurm")
    return Array(training, evaluation, limit)


def _say_namesake(plan: Plan) -> None:
    if other := running.namesake(plan):
        print(f"note   {other}")


def _submitted(launched: Launched, plan: Plan, request: Request) -> None:
    for line in launched.said:
        print(line)
    reasons = Counter(decision.why for decision in launched.skipped)
    for why, count in reasons.items():
        print(f"{count} of {len(launched.decisions)} trainings left as they are: {why}")
    if "--wait" in request.flags:
        running.watch(lambda: running.states(plan, running.ask(plan.root)), Console())
    elif launched.submitted:
        words = ["study", request.study, "status --watch", *divided(request.overrides)[0]]
        print(f"watch  {command(' '.join(words))}")
