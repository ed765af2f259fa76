"""A study's answer as a W&B report: the verdict table, and W&B's own panels over exactly the runs that the table is of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.runs import RunDirectory
from difflab.runs.listing import run_id
from difflab.runs.wandb import WandbError
from difflab.runs.wandb.description import keeps_best
from difflab.runs.wandb.service import check_login
from difflab.runtime.invocation import installation
from difflab.studies.evidence import Evidence
from difflab.studies.history import IMAGES, read_history
from difflab.studies.report.table import ablation_table
from difflab.studies.report.table_text import Markdown
from difflab.studies.statistics import Verdict

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import Report

NOT_LOSSES = re.compile(
    r"train/(images|images_per_second|data_wait_share|learning_rate|gradient_norm|bad_steps|loss_scale)"
)
"""What a run logs of itself; everything else below train/ is a loss or a term of one."""

EVALUATED = re.compile(r"(?P<track>eval/.+)/(?P<stem>fid|fd|is)(?P<features>_\w+?)?@(?P<samples>.+)")

TITLE_LENGTH = 128
"""W&B takes no longer one."""


@dataclass(frozen=True)
class Logged:
    """What the runs sent to W&B.

    Attributes:
        losses: Train/loss, train/loss_q1, train/vlb ...
        scores: Eval/<track>/<metric>@<N>.
        with_images: Those of both that stand in a line with train/images: W&B draws over it what was logged with it.
        pictures: Samples/<track>.
    """

    losses: tuple[str, ...]
    scores: tuple[str, ...]
    with_images: frozenset[str]
    pictures: tuple[str, ...]

    def tradeoffs(self) -> list[tuple[str, str]]:
        """(distance, inception score) of the same images and features."""
        found: dict[tuple[Any, ...], dict[str, str]] = {}
        for name in self.scores:
            if match := EVALUATED.fullmatch(name):
                same = match["track"], match["features"], match["samples"]
                found.setdefault(same, {})["score" if match["stem"] == "is" else "distance"] = name
        return [(both["distance"], both["score"]) for both in found.values() if len(both) == 2]


def logged(runs: Sequence[Path]) -> Logged:
    """By their directories."""
    names: dict[str, None] = {}
    with_images, pictures = set[str](), set[str]()
    for run in runs:
        history = read_history(run)
        steps = set(history.curve(IMAGES)[0])
        for name in history.columns:
            names[name] = None
            if steps.intersection(history.curve(name)[0]):
                with_images.add(name)
        pictures |= {f"samples/{path.stem.rsplit('_', 1)[0]}" for path in RunDirectory(run).samples.glob("*_*.png")}
    return Logged(
        losses=tuple(name for name in names if name.startswith("train/") and not NOT_LOSSES.fullmatch(name)),
        scores=tuple(name for name in names if name.startswith("eval/")),
        with_images=frozenset(with_images),
        pictures=tuple(sorted(pictures)),
    )


def report(evidence: Evidence, verdicts: Mapping[str, Verdict], entity: str, project: str) -> Report:
    """The report, not yet saved; builds without a network.

    Its runs are those whose numbers the table has, by their ids: a row that was changed since leaves older runs of the same name in the
    project. They are grouped by config.row, hence bands are over seeds (mean -/+ standard error).

    Args:
        verdicts: Row -> on the deciding metric.
        project: Of W&B, where the study's runs are.
    """
    wr = _library()
    study = evidence.study
    runs = list(dict.fromkeys(one.run for arm in evidence.arms.values() for one in arm.replicates.values()))
    if not runs:
        raise ValueError(f"{study.name} has no finished run to report: launch it, or wait for it")
    found = logged(runs)
    return wr.Report(
        entity=entity,
        project=project,
        title=_cut(f"{study.name}: {study.question}"),
        description="\n".join(text for text in (study.claim, study.source) if text),
        width="fluid",
        blocks=[
            wr.TableOfContents(),
            wr.H1("Verdict"),
            wr.P(study.question),
            wr.MarkdownBlock(_verdict(evidence, verdicts)),
            *_shared_trainings(evidence),
            *_section("Evaluations in training", _curves(runs, found.scores, found.with_images)),
            *_section("Losses", _curves(runs, found.losses, found.with_images)),
            *_section("Samples", _samples(runs, found.pictures)),
            *_section("Distance and inception score", _tradeoffs(runs, found)),
            *_section("What differs between the runs", [_differences(runs)]),
        ],
    )


def save_report(evidence: Evidence, verdicts: Mapping[str, Verdict], entity: str | None, project: str) -> str:
    """Saves a new report and gives its address.

    Args:
        entity: None for the user's default.
    """
    _library()
    check_login()
    import wandb

    try:
        owner = entity or wandb.Api().default_entity
    except Exception as error:  # the library's are of several kinds, and some of none
        raise WandbError(f"W&B refused: {error}") from error
    if not owner:
        raise WandbError("W&B knows no default entity of yours: name the team or user with entity=...")
    built = report(evidence, verdicts, owner, project)
    try:
        return built.save().url
    except Exception as error:
        raise WandbError(f"W&B did not take the report for {owner}/{project}: {error}") from error


def _verdict(evidence: Evidence, verdicts: Mapping[str, Verdict]) -> str:
    table = Markdown().render(ablation_table(evidence, verdicts, allow_missing=True))
    said = [f"- **{evidence.arms[row].row.label}**: {verdict.sentence}" for row, verdict in verdicts.items()]
    return "\n".join([table, *said])


def _shared_trainings(evidence: Evidence) -> list[Any]:
    """A run is in one group alone: the first row that it serves."""
    rows: dict[Path, list[str]] = {}
    for arm in evidence.arms.values():
        for one in arm.replicates.values():
            rows.setdefault(one.run, []).append(arm.row.name)
    shared = dict.fromkeys(tuple(dict.fromkeys(names)) for names in rows.values())
    said = [
        f"{', '.join(names)} draw from one training: its runs are those of {names[0]}." for names in shared if names[1:]
    ]
    return [_library().P(text) for text in said]


def _curves(runs: Sequence[Path], names: Sequence[str], with_images: frozenset[str]) -> list[Any]:
    """A grid over optimizer steps, and one over images."""
    wr, grids = _library(), []
    over_images = [name for name in names if name in with_images]
    for title, x, of_it in (("optimizer steps", "Step", names), ("images seen", IMAGES, over_images)):
        if of_it:
            panels = [
                wr.LinePlot(
                    title=name,
                    x=x,
                    y=[name],
                    title_x=title,
                    groupby=wr.Config("row"),
                    groupby_aggfunc="mean",
                    groupby_rangefunc="stderr",
                )
                for name in of_it
            ]
            grids += [wr.H2(f"Over {title}"), wr.PanelGrid(runsets=[_runs(runs, "config.row")], panels=panels)]
    return grids


def _samples(runs: Sequence[Path], keys: Sequence[str]) -> list[Any]:
    """Runs beside each other, training steps below each other."""
    wr = _library()
    panels = [
        wr.MediaBrowser(
            title=key,
            media_keys=[key],
            mode="grid",
            grid_x_axis="run",
            grid_y_axis="step",
            layout=wr.Layout(w=24, h=14),
        )
        for key in keys
    ]
    return (
        [wr.P("Of the same sampling seeds in all runs."), wr.PanelGrid(runsets=[_runs(runs)], panels=panels)]
        if panels
        else []
    )


def _tradeoffs(runs: Sequence[Path], found: Logged) -> list[Any]:
    """At each run's last evaluation in training."""
    wr = _library()
    last = ".last" if all(keeps_best(run) for run in runs) else ""
    panels = [
        wr.ScatterPlot(
            title=f"{distance} and {score}",
            x=wr.SummaryMetric(f"{score}{last}"),
            y=wr.SummaryMetric(f"{distance}{last}"),
            layout=wr.Layout(w=12, h=10),
        )
        for distance, score in found.tradeoffs()
    ]
    return [wr.PanelGrid(runsets=[_runs(runs, "config.row")], panels=panels)] if panels else []


def _differences(runs: Sequence[Path]) -> Any:
    wr = _library()
    return wr.PanelGrid(runsets=[_runs(runs)], panels=[wr.RunComparer(diff_only="split", layout=wr.Layout(w=24, h=14))])


def _section(title: str, blocks: list[Any]) -> list[Any]:
    return [_library().H1(title), *blocks] if blocks else []


def _runs(runs: Sequence[Path], *groups: str) -> Any:
    """The run set; its project is the report's."""
    from wandb_workspaces import expr

    return _library().Runset(
        name="runs of the table",
        filters=[expr.Metric("ID").isin([run_id(run) for run in runs])],
        groupby=list(groups),
        pinned_columns=["config:row.value", "config:seed.value"],
    )


def _library() -> Any:
    try:
        import wandb_workspaces.reports.v2 as wr
    except ModuleNotFoundError as error:
        raise WandbError(f"W&B reports need the package wandb-workspaces: {installation('wandb')}") from error
    return wr


def _cut(title: str) -> str:
    return title if len(title) <= TITLE_LENGTH else f"{title[: TITLE_LENGTH - 1]}…"
