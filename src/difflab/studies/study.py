"""A study: a question, rows that vary one thing each, seeds, and how all of them are judged. It is a paper's table as a file.

question: Does AdaGN help?                   # what the table answers
source: "arXiv 2105.05233, table 3"          # optional: where the table is published
claim: AdaGN is better by 2 FID              # optional: what the source concludes
baseline: adagn                              # the row that others are compared with
seeds: [0, 1, 2]
experiment: adm/table3/adagn                 # that rows start from, if they name none of their own
overrides: [trainer.max_steps=1000]          # of train.py, for all rows
evaluation:
  decides: fid                               # the metric of the verdict
  metrics: [fid, is, precision, recall]      # reported, in this order
  overrides: [num_samples=50000]             # of evaluate.py, for all rows
  info: {realism: {higher_is_better: true}}  # only of metrics whose results do not say it themselves
margins: {fid: 0.5}                          # differences within -/+ margin make no difference; for the verdict `equivalent`
alpha: 0.05
rows:
  adagn: {label: AdaGN}
  addgn:
    label: addition + GroupNorm
    change: [network.norm]                   # what this row may change: keys of the configuration, or draw.<key>
    overrides: [network/norm=addgn]          # of train.py
    draw: [steps=25]                         # of evaluate.py: rows that differ in it alone share their training
    against: adagn                           # the row it is compared with, if not the baseline
    published: {fid: {value: 15.08, source: "...", confidence: paper}}     # if not the experiment's `target`
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from difflab.metrics import MetricInfo
    from difflab.metrics.published import Target


class StudyError(ValueError):
    """A study that cannot be run; the message names file, row and key."""


@dataclass(frozen=True)
class Evaluation:
    """decides    the metric of the verdict
    metrics    that are reported, the deciding one among them
    overrides  of evaluate.py
    info       metric -> what kind of number it is, of those whose results do not say it themselves
    """

    decides: str
    metrics: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    info: Mapping[str, MetricInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    change     what it may differ in from the row `against`: keys of the resolved configuration, or draw.<key>
    overrides  of train.py, after the study's
    draw       of evaluate.py, after the study's
    published  metric -> the number that a source gives; empty where the experiment's own `target` holds
    """

    name: str
    label: str
    experiment: str
    change: tuple[str, ...]
    overrides: tuple[str, ...]
    draw: tuple[str, ...]
    against: str
    published: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """See the module's example.

    rows      by name, in the table's order
    margins   metric -> the difference that is of no interest
    """

    name: str
    question: str
    baseline: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    evaluation: Evaluation
    rows: Mapping[str, Row]
    margins: Mapping[str, float]
    alpha: float
    source: str | None = None
    claim: str | None = None

    def compared(self) -> list[Row]:
        """The rows that are compared with another one: all but the baseline."""
        return [row for row in self.rows.values() if row.name != self.baseline]


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")
_KEYS = {
    "study": ("question", "source", "claim", "baseline", "seeds", "experiment", "overrides", "evaluation", "margins", "alpha", "rows"),
    "evaluation": ("decides", "metrics", "overrides", "info"),
    "row": ("label", "experiment", "change", "overrides", "draw", "against", "published"),
}  # fmt: skip


def load_study(path: str | Path) -> Study:
    """<folder>/study.yaml; the folder's name is the study's."""
    path = Path(path)
    try:
        node = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is no yaml: {' '.join(str(error).split())}") from error
    return read_study(node, path.parent.name, str(path))


def read_study(node: Any, name: str, where: str) -> Study:
    """A study from the content of its file.

    where   is named in errors
    """
    node = _mapping(node, where, _KEYS["study"])
    for key in ("question", "baseline", "seeds", "evaluation", "rows"):
        if key not in node:
            raise StudyError(
                f"{where} lacks {key!r}: a study has a question, a baseline, seeds, an evaluation and rows"
            )
    seeds = node["seeds"]
    if not isinstance(seeds, list) or not seeds or any(isinstance(s, bool) or not isinstance(s, int) for s in seeds):
        raise StudyError(f"{where}: seeds = {seeds!r}: expected a list of whole numbers, as [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise StudyError(f"{where}: seeds = {seeds} names one seed twice: a replicate counts once")
    alpha = _number(node.get("alpha", 0.05), f"{where}: alpha")
    if not 0 < alpha < 0.5:
        raise StudyError(f"{where}: alpha = {alpha}: expected a level such as 0.05")
    evaluation = _evaluation(node["evaluation"], f"{where}: evaluation")
    margins = _mapping(node.get("margins", {}), f"{where}: margins", evaluation.metrics)
    for metric, margin in margins.items():
        if _number(margin, f"{where}: margins.{metric}") <= 0:
            raise StudyError(f"{where}: margins.{metric} = {margin}: expected a difference above 0")
    baseline, inner = str(node["baseline"]), _mapping(node["rows"], f"{where}: rows", None)
    if baseline not in inner:
        raise StudyError(f"{where}: baseline = {baseline}: {_there_are(baseline, inner, 'row')}")
    rows = {str(key): _row(str(key), value, node, f"{where}: row {key}") for key, value in inner.items()}
    for row in rows.values():
        if row.against not in rows:
            raise StudyError(
                f"{where}: row {row.name}: against = {row.against}: {_there_are(row.against, rows, 'row')}"
            )
        if row.against == row.name and row.name != baseline:
            raise StudyError(f"{where}: row {row.name} is compared with itself: name another row in `against`")
    return Study(
        name=name,
        question=" ".join(str(node["question"]).split()),
        baseline=baseline,
        seeds=tuple(seeds),
        overrides=_texts(node.get("overrides", []), f"{where}: overrides"),
        evaluation=evaluation,
        rows=rows,
        margins={metric: float(margin) for metric, margin in margins.items()},
        alpha=alpha,
        source=node.get("source"),
        claim=None if node.get("claim") is None else " ".join(str(node["claim"]).split()),
    )


def _evaluation(node: Any, where: str) -> Evaluation:
    node = _mapping(node, where, _KEYS["evaluation"])
    if "decides" not in node:
        raise StudyError(f"{where} lacks 'decides': the metric on which the verdict is given")
    decides = str(node["decides"])
    metrics = _texts(node.get("metrics", [decides]), f"{where}.metrics")
    if decides not in metrics:
        raise StudyError(f"{where}.metrics = {list(metrics)} does not have the deciding metric {decides!r}")
    stated = _mapping(node.get("info", {}), f"{where}.info", metrics)
    infos = {metric: _info(one, f"{where}.info.{metric}") for metric, one in stated.items()}
    return Evaluation(decides, metrics, _texts(node.get("overrides", []), f"{where}.overrides"), infos)


def _info(node: Any, where: str) -> MetricInfo:
    from difflab.metrics import MetricInfo  # with all metrics, which not everybody needs who needs a study

    try:
        return MetricInfo.read(node, where)
    except ValueError as error:
        raise StudyError(str(error)) from error


def _row(name: str, node: Any, study: Mapping[str, Any], where: str) -> Row:
    node = _mapping({} if node is None else node, where, _KEYS["row"])
    if not _NAME.fullmatch(name):
        raise StudyError(
            f"{where}: {name!r} is the name of a folder: use letters, digits, and . _ + = -, a letter or digit first"
        )
    experiment = node.get("experiment", study.get("experiment"))
    if experiment is None:
        raise StudyError(f"{where} lacks 'experiment', and the study names none for all rows")
    change = _texts(node.get("change", []), f"{where}.change")
    if name == study["baseline"] and (change or "against" in node):
        raise StudyError(f"{where} is the baseline: it has nothing to change, and is compared with no other row")
    if name != study["baseline"] and not change:
        raise StudyError(f"{where} lacks 'change': say which keys it may change, for example [network.norm]")
    published = _mapping(node.get("published", {}), f"{where}.published", None)
    from difflab.metrics.published import Target  # with all metrics, which not everybody needs who needs a study

    try:
        targets = {str(key): Target.read(str(key), value) for key, value in published.items()}
    except ValueError as error:
        raise StudyError(f"{where}.published: {error}") from error
    return Row(
        name=name,
        label=str(node.get("label", name)),
        experiment=str(experiment),
        change=change,
        overrides=_texts(node.get("overrides", []), f"{where}.overrides"),
        draw=_texts(node.get("draw", []), f"{where}.draw"),
        against=str(node.get("against", study["baseline"])),
        published=targets,
    )


def _mapping(node: Any, where: str, keys: Collection[str] | None) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise StudyError(f"{where}: expected names with values, got {node!r}")
    for key in node:
        if keys is not None and key not in keys:
            raise StudyError(f"{where}: unknown key {key!r}; {_near(str(key), keys)}")
    return dict(node)


def _texts(node: Any, where: str) -> tuple[str, ...]:
    if not isinstance(node, list) or not all(isinstance(text, str) for text in node):
        raise StudyError(f"{where} = {node!r}: expected a list of texts, as [network.width=64]")
    return tuple(node)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(f"{where} = {value!r}: expected a number")
    return float(value)


def _there_are(name: str, names: Collection[str], what: str) -> str:
    return f"there is no such {what}; {_near(name, names)}"


def _near(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, [str(n) for n in names], n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(str, names))}"


class _Strict(yaml.SafeLoader):
    """A name that stands twice is an error, and not the last of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"{key.value!r} stands twice, the second time in line {key.start_mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
