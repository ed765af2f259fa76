"""What is inside a trained model: `difflab explain checkpoint=RUN`.

It draws from x_T and back again, and writes one page of what it finds with its pictures. Each thing that is shown has a file of its own in
this package, and stands here once, in the order in which it is on the page.
"""

from __future__ import annotations

import base64
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from difflab.checkpoints.load import LoadedModel
from difflab.config.groups import ConfigError
from difflab.config.options import with_values
from difflab.distributed import Processes
from difflab.explaining.attention_maps import Attention
from difflab.explaining.field import Field
from difflab.explaining.forward_reverse_drift import ForwardReverseDrift
from difflab.explaining.interpolation import Interpolation
from difflab.explaining.look import Finding, Look
from difflab.explaining.memorisation import Memorisation
from difflab.explaining.round_trip import RoundTrip
from difflab.explaining.score_error import ScoreError
from difflab.explaining.shared_prefix import SharedPrefix
from difflab.explaining.subject import Subject
from difflab.files import write_bytes, write_text
from difflab.pages import render
from difflab.runtime.console import quiet_lightning
from difflab.runtime.invocation import installation
from difflab.runtime.progress import Progress
from difflab.sampling import SamplingOptions
from difflab.sampling.build import model_of, plan_job
from difflab.sampling.job import SamplingJob

__all__ = ["LOOKS", "PAGE", "explain_model"]

PAGE = "explain.html"
"""Name of the page in the folder."""

LOOKS: tuple[Look, ...] = (
    Interpolation(),
    SharedPrefix(),
    RoundTrip(),
    Memorisation(),
    Attention(),
    ForwardReverseDrift(),
    Field(),
    ScoreError(),
)
"""As they follow on the page."""


def check_checkpoint(options: SamplingOptions) -> str:
    """The one model that is named."""
    if options.stages or not isinstance(options.checkpoint, str):
        raise ConfigError("explain looks into one model: give checkpoint=RUN")
    return options.checkpoint


def explain_model(options: SamplingOptions, out: Path) -> Iterator[Path]:
    """Writes what is inside a model.

    Args:
        options: The model, and how it draws.
        out: Folder of the page and its pictures, which is made where it is missing.

    Returns:
        The files that were written, the page first.

    Raises:
        ConfigError: The model has nothing of what is asked for; one line says why, before any work.
    """
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise ConfigError(f"explain draws with {package}: {installation('report')}")
    check_checkpoint(options)
    quiet_lightning()
    model = model_of(options)
    job = plan_job(with_values(options, {"overwrite": True}), model, out)
    processes = Processes(options.accelerator, 1, 1, options.threads)
    processes.start()
    try:
        found, left_out = look_inside(Subject(job, processes.device))
    finally:
        processes.finish()
    if not found:
        raise ConfigError(
            f"checkpoint={options.checkpoint}: nothing of this model can be shown: {'; '.join(left_out.values())}"
        )
    for look in LOOKS:
        for stale in out.glob(f"{look.name}*.png"):
            stale.unlink()
    pictures = [picture for finding in found.values() for picture in finding.pictures]
    for picture in pictures:
        write_bytes(out / f"{picture.name}.png", picture.png)
    write_text(out / PAGE, render("difflab.explaining", "model.html.jinja", _content(job, model, found, left_out)))
    yield out / PAGE
    yield from (out / f"{picture.name}.png" for picture in pictures)


def look_inside(subject: Subject) -> tuple[dict[str, Finding], dict[str, str]]:
    """What each look finds, by its name, and the title of each that is left out with the reason."""
    found, left_out, progress = dict[str, Finding](), dict[str, str](), Progress(shown=True)
    with progress.task("looking inside", len(LOOKS), unit="looks") as task:
        for number, look in enumerate(LOOKS, 1):
            reason = look.suits(subject)
            if not reason:
                try:
                    found[look.name] = look(subject)
                except ValueError as error:  # such as weights of an extractor that are not at hand
                    reason = str(error)
            if reason:
                left_out[look.title] = reason
                progress.say(f"{look.title} is left out: {reason}")
            task.advance(number)
    return found, left_out


def _content(
    job: SamplingJob, model: LoadedModel, found: Mapping[str, Finding], left_out: Mapping[str, str]
) -> dict[str, Any]:
    subject = job.subject
    name = subject["run"] or Path(str(subject["checkpoint"])).stem
    facts = [f"seed {subject['seed']}" * (subject["seed"] is not None), f"track {model.track}"]
    facts += [f"after {model.step:,} steps"] if model.step is not None else []
    return {
        "name": name,
        "facts": ", ".join(fact for fact in facts if fact),
        "command": shlex.join(_public(word) for word in sys.argv[1:]),
        "sections": [(look.name, look.title) for look in LOOKS if look.name in found],
        "found": found,
        "left_out": left_out,
        "address": lambda picture: f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
    }


def _public(word: str) -> str:
    """A word of the command without the place of a run, which is the user's own affair."""
    key, is_value, _ = word.partition("=")
    return f"{key}=RUN" if is_value and key in ("checkpoint", "ckpt", "ckpt_path") else word
