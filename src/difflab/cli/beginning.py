"""Where a run begins that has no checkpoint of its own: at step 0, or where another run is that has trained its first steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from difflab.runs import RunDirectory
    from difflab.runs.course import Beginning, Course


def take_over(
    run: RunDirectory,
    name: str,
    course: Course,
    protocols: Mapping[str, Mapping[str, Any]],
    monitor: str,
    unfit: Callable[[Path], str],
) -> list[str]:
    """Gives a run that has no checkpoint the state of another one that has trained its first steps, if there is one.

    With run.restart=true, and in the later attempts that it makes, a run trains all of its steps itself.

    Args:
        run: That is about to begin, locked.
        name: Its identity.
        course: What its weights are after each step.
        protocols: Score -> fields, as the run will measure it.
        monitor: The score by which best.ckpt is chosen.
        unfit: Says why a whole checkpoint is not used; "" for one that is.

    Returns:
        Sentences about it for the user.
    """
    from difflab.runs import newest
    from difflab.runs.attempts import run_id
    from difflab.runs.carried_over import carry_over

    anew = course.config["run"]["restart"] or run_id(run.path) != name
    if anew or newest(run.checkpoints, unfit) is not None:
        return []
    beginning = course.beginning(unfit)
    if beginning is None:
        return [refused] if (refused := course.refused()) else []
    alike = carry_over(run, beginning, course.config, protocols, monitor)
    said = [_taken_over(beginning, course.steps)]
    return said if alike else [*said, f"its scores were measured otherwise, and stay in {beginning.run.metrics}"]


def _taken_over(beginning: Beginning, steps: int) -> str:
    other, step = beginning.run.path, beginning.step
    status = beginning.run.status()
    if step == steps:
        return f"{other} ({status}) has trained these weights: they are evaluated, and not trained again"
    if steps > beginning.steps:
        return f"extended from {beginning.steps} to {steps} steps: {other} ({status}) has trained the first {step}, and stays as it is"
    return f"{other} ({status}) has trained the first {step} steps of this run, and stays as it is"
