"""A study and a command line -> its plan: every row resolved, checked and counted, before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from difflab.config.keys import ConfigError
from difflab.config.options import gathered, keys_of, stage_words
from difflab.config.paths import search_words
from difflab.config.resolve import resolve_options, resolve_row
from difflab.config.resolved import ResolvedConfig
from difflab.config.trust import packages_of
from difflab.config.words import as_meant
from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.results import recognised
from difflab.explaining import Rival, compared
from difflab.metrics import Protocol
from difflab.pages import looks
from difflab.sampling import SamplingOptions
from difflab.studies.planning.confounds import DRAW, check_distinct, check_row, drawing
from difflab.studies.planning.deciding import Deciding
from difflab.studies.planning.facts import Match, RowFacts, match_row
from difflab.studies.planning.fingerprints import Fingerprints
from difflab.studies.planning.plan import Cell, Plan, RowPlan, Training, of_family
from difflab.studies.planning.plan_cache import Request, remember
from difflab.studies.planning.preparing import Prepared
from difflab.studies.planning.trunks import Trunk
from difflab.studies.scale import RATIO
from difflab.studies.spec import Row, Study, StudyError, load_study


def planned(request: Request, overrides: Sequence[str]) -> Plan:
    """Plans what a command line means, and keeps the plan for those who only look.

    Args:
        request: The command.
        overrides: Of train.py, without those of the launcher.
    """
    options = request.options
    found = plan_study(load_study(request.file), overrides, options.get("match"), options.get("solve", "network.width"))
    remember(request, overrides, found)
    return found


def plan_runs(request: Request, overrides: Sequence[str]) -> Plan:
    """A new plan whose runs can be looked for.

    Raises:
        StudyError: Data are not at hand on which it depends which runs these are.
    """
    plan = planned(request, overrides)
    if plan.lacking:
        raise StudyError(
            f"{plan.study.name}: which runs these are depends on data and extractor, and they are not at hand: {plan.lacking}"
        )
    return plan


def check_measured(plan: Plan) -> Plan:
    """The plan, if its evaluations will give what the study reports.

    Raises:
        StudyError: They will not; with the remedy.
    """
    if plan.unmeasured:
        raise StudyError(
            f"{plan.study.name}: {plan.unmeasured}. Nothing is launched before, since all trainings would end without it"
        )
    return plan


GIVEN = {
    "seed": "a study's seeds stand in its file, under `seeds`",
    "run.name": "a study names its runs itself, <study>/<row>",
}
"""Keys of train.py that a study gives, and what to do instead."""


def plan_study(study: Study, extra: Sequence[str], match: str | None, solve: str) -> Plan:
    """A StudyError names the row and the key in which something is wrong.

    Args:
        extra: Overrides of train.py that the command gives to all rows.
        match: Params or flops: what each row is made equal to the baseline in; None leaves rows as they are.
        solve: The key that is set for that, network.width or network.depth.
    """
    for override in as_meant(
        "train", (*study.overrides, *extra, *(w for row in study.rows.values() for w in row.overrides))
    ):
        if override.lstrip("+~").partition("=")[0] in GIVEN:
            raise StudyError(f"{override}: {GIVEN[override.lstrip('+~').partition('=')[0]]}")
    _check_margins(study)
    facts = RowFacts()
    prints = Fingerprints()
    trunk = None if study.fork is None else Trunk(study, lambda one: _command(study, one, extra), prints.identity)
    prepared = None if study.prepare is None else Prepared(study, extra, prints)
    resolved = {row.name: _resolved(study, row, extra, trunk) for row in study.rows.values()}
    matches: dict[str, Match] = {}
    if match is not None:
        baseline = resolved[study.baseline]
        for row in study.compared():
            with _in_row(row):
                matches[row.name] = match_row(facts, match, solve, _command(study, row.name, extra), baseline)
                resolved[row.name] = _resolved(study, row, [*extra, *matches[row.name].overrides], trunk)
    if trunk is not None:
        for row in study.rows.values():
            with _in_row(row):
                trunk.check(resolved[row.name], facts)
    follows: dict[str, tuple[str, ...]] = {}
    check_distinct({row.name: (row, resolved[row.name]) for row in study.rows.values()})
    for row in study.compared():
        keys = {matches[name].key for name in (row.name, row.against) if name in matches}
        found = check_row(row, resolved[row.name], study.rows[row.against], resolved[row.against], keys)
        follows[row.name] = tuple(difference.key for difference in found.follows)
    rows = {}
    for row in study.rows.values():
        with _in_row(row):
            rows[row.name] = RowPlan(
                config=resolved[row.name].config,
                facts=facts(resolved[row.name], (*study.evaluation.overrides, *row.draw)),
                overrides=matches[row.name].overrides if row.name in matches else (),
                follows=follows.get(row.name, ()),
                explains=explained_fields((*row.change, *follows.get(row.name, ()))),
                samples=_evaluation((*study.evaluation.overrides, *row.draw)).num_samples,
            )
    trainings, cells, lacking = _runs(study, resolved, trunk, prepared, prints)
    root = Path(str(resolved[study.baseline].config["run"]["root"])) / study.name
    before = trunk or prepared
    trunks = () if before is None else tuple(before.trainings(len(trainings)))
    look = looks(list(rows), study.baseline)
    noise = compared(
        [
            Rival(row.label, look[row.name], rows[row.name].config, drawing(row.draw)[DRAW])
            for row in study.rows.values()
        ]
    )
    return Plan(study, root, rows, trainings, cells, lacking, _unmeasured(study, rows), trunks, noise)


def explained_fields(keys: Sequence[str]) -> tuple[str, ...]:
    """Fields of a number's protocol, or beginnings of them, that keys of a training or of a drawing determine.

    The options of a drawing say it of themselves.

    Args:
        keys: As a row declares them: sampler.eta, draw.steps.
    """
    known, found = keys_of(SamplingOptions), list[str]()
    for key in keys:
        path = key.removeprefix(f"{DRAW}.").split(".")
        name = next((name for name, option in known.items() if key in option.trained), path[0])
        if name in known:
            # one of several parts differs as a whole, though one key of it was changed
            finer = ".".join(path[:2] if known[name].named else path)
            found += [finer if field == path[0] else field for field in known[name].protocol]
        else:
            found.append(
                f"sampler.{key}"
            )  # a sampler that is chosen for drawing takes the model's part of this name, as its variance
    return tuple(dict.fromkeys(found))


def _command(study: Study, name: str, extra: Sequence[str]) -> tuple[str, ...]:
    """Of train.py, but for seed and names: of a row, or of an experiment with what the study says of all rows."""
    row = study.rows.get(name)
    experiment, own = (name, ()) if row is None else (row.experiment, row.overrides)
    return (f"+experiment={experiment}", *study.overrides, *own, *extra)


def _check_margins(study: Study) -> None:
    """A StudyError for a margin in per cent of a metric that is known to be compared on differences."""
    for metric, margin in study.margins.items():
        extractors = ("inception", metric.rpartition("_")[2])  # after which metrics are named
        known = [recognised(metric, Protocol({"extractor.name": name})) for name in extractors]
        if margin.scale is RATIO and any(info is not None and not info.ratio for info in known):
            raise StudyError(
                f"margins.{metric} = {margin}: {metric} is not compared as a ratio: give a margin in its own unit"
            )


def _resolved(study: Study, row: Row, extra: Sequence[str], trunk: Trunk | None) -> ResolvedConfig:
    with _in_row(row):
        words, seed = _command(study, row.name, extra), study.seeds[0]
        return resolve_row((*(words if trunk is None else trunk.continued(words, seed)), f"seed={seed}"))


def _runs(
    study: Study,
    resolved: Mapping[str, ResolvedConfig],
    trunk: Trunk | None,
    prepared: Prepared | None,
    prints: Fingerprints,
) -> tuple[tuple[Training, ...], tuple[Cell, ...], str | None]:
    """The trainings, the cells, and why identities are not known where the data are not at hand."""
    trainings: dict[str, Training] = {}
    keys: dict[tuple[str, int], str] = {}
    for seed, row in itertools.product(study.seeds, study.rows.values()):  # each row once, then each once more
        config, command = resolved[row.name].config, resolved[row.name].overrides
        command = [word for word in command if not word.startswith("seed=")]
        name, begins = f"{study.name}/{row.name}", config.get("init_from")
        if trunk is not None:
            command, begins = trunk.of_seed(command, seed), {**(begins or {}), "checkpoint": trunk.state(seed)}
        with _in_row(row):
            folder = Path(str(config["run"]["root"])) / name
            key = keys[row.name, seed] = prints.identity(resolved[row.name], seed, begins, folder)
        project = (f"logger.wandb.project={study.project}",) if "wandb" in config["logger"] else ()
        if key not in trainings:
            trainings[key] = Training(
                number=len(trainings),
                name=name,
                seed=seed,
                identity=key,
                parent=of_family(study, folder, key, seed),
                overrides=(*search_words(), *command, *project, f"run.name={name}", f"seed={seed}"),
                steps=config["trainer"]["max_steps"],
                after=trunk.identity(seed) if trunk else prepared.training.identity if prepared else "",
            )
    cells = []
    for row in study.rows.values():
        with _in_row(row):
            request = _evaluation((*study.evaluation.overrides, *row.draw)).num_samples
        config = resolved[row.name].config
        own = sorted(
            {*packages_of(config), *_listed(config.get("trust"))}
        )  # the study names them, so its evaluations may read them back
        where = (
            *search_words(),
            f"accelerator={config['trainer']['accelerator']}",
            *([f"trust=[{','.join(own)}]"] if own else []),
        )
        for seed in study.seeds:
            # replicates draw other noise, so that their spread is that of training and of sampling; rows draw the same
            drawn = (*as_meant("evaluate", (*study.evaluation.overrides, *row.draw)), f"first_seed={seed * request}")
            named, drawn = (prepared.named(drawn), prepared.drawn(drawn)) if prepared else (drawn, drawn)
            folder = f"evaluations/{hashlib.sha256(json.dumps(named).encode()).hexdigest()[:10]}"
            cells.append(Cell(row.name, seed, trainings[keys[row.name, seed]].number, (*drawn, *where), folder))
    return tuple(trainings.values()), tuple(cells), prints.lacking


def _unmeasured(study: Study, rows: Mapping[str, RowPlan]) -> str | None:
    """Why evaluations will not give what the study reports; None if they will."""
    deciding = Deciding()
    metrics = dict.fromkeys((study.evaluation.decides, *study.evaluation.metrics))
    for name, row in rows.items():
        asked = _evaluation((*study.evaluation.overrides, *study.rows[name].draw))
        if lacking := deciding.lacking(list(metrics), row.config, asked):
            return f"row {name}: {lacking}"
    return None


def _listed(packages: Any) -> list[str]:
    return [packages] if isinstance(packages, str) else list(packages or ())


@cache
def _evaluation(overrides: tuple[str, ...]) -> EvaluationOptions:
    """What an evaluation is asked for. A ConfigError if evaluate.py would not take these overrides."""
    for override in as_meant("evaluate", overrides):
        if override.lstrip("+~").partition("=")[0] in ("checkpoint", "samples", "out", "first_seed", "compare"):
            raise ConfigError(f"{override}: a study says itself which images are measured, and where results are kept")
    words = [*gathered(overrides), "checkpoint=RUN"]
    asked, drawn = resolve_options("evaluate", words, EvaluationOptions, SamplingOptions)
    stage_words(drawn.stage, len(drawn.stages), SamplingOptions)
    return asked


@contextmanager
def _in_row(row: Row):
    """Within the context errors name the row."""
    try:
        yield
    except (ConfigError, StudyError) as error:
        raise StudyError(f"row {row.name}: {error}") from error
