"""A study: a question, rows that vary one thing each, seeds, and how all of them are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.reading import FileError, read_yaml
from difflab.studies.fork import Fork, read_fork
from difflab.studies.nodes import (
    CitedRow,
    Literature,
    Strict,
    StudyError,
    check_name,
    check_study_name,
    is_cited,
    mapping,
    number,
    published_targets,
    read_cited,
    read_literature,
    texts,
    there_are,
)
from difflab.studies.prepared import Preparation, read_preparation
from difflab.studies.scale import Margin, read_margin

if TYPE_CHECKING:
    from difflab.evaluation.published import Target
    from difflab.metrics import MetricInfo


@dataclass(frozen=True)
class Evaluation:
    """How a study's runs are evaluated.

    Attributes:
        decides: The metric of the verdict.
        metrics: That are reported, the deciding one among them.
        overrides: Of evaluate.py.
        info: Metric -> what kind of number it is, of those whose results do not say it themselves.
    """

    decides: str
    metrics: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    info: Mapping[str, MetricInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        change: What it may differ in from the row `against`: keys of the resolved configuration, or draw.<key>.
        overrides: Of train.py, after the study's.
        draw: Of evaluate.py, after the study's.
        published: Metric -> the number that a source gives; empty where the experiment's own `target` holds.
        literature: What is said elsewhere of the row; None where nothing is.
    """

    name: str
    label: str
    experiment: str
    change: tuple[str, ...]
    overrides: tuple[str, ...]
    draw: tuple[str, ...]
    against: str
    published: Mapping[str, Target] = field(default_factory=dict)
    literature: Literature | None = None


@dataclass(frozen=True)
class Study:
    """See the module's example.

    Attributes:
        rows: By name, in the table's order: those that run.
        margins: Metric -> the difference that is of no interest.
        cited: Published results that stand beside them, by name.
        file: That it was read from.
        fork: The training that all rows have in common, and where they leave it; None where each is trained from its beginning.
        prepare: What is trained before, as a classifier that guides rows; None for nothing.
    """

    name: str
    question: str
    baseline: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    evaluation: Evaluation
    rows: Mapping[str, Row]
    margins: Mapping[str, Margin]
    alpha: float
    source: str | None = None
    claim: str | None = None
    cited: Mapping[str, CitedRow] = field(default_factory=dict)
    file: Path | None = None
    fork: Fork | None = None
    prepare: Preparation | None = None

    @property
    def family(self) -> str:
        """What stands in its name before the last slash: claims, of claims/schedule; empty for a study by itself."""
        return self.name.rpartition("/")[0]

    @property
    def project(self) -> str:
        """Its name in W&B, where slashes are not allowed."""
        return self.name.replace("/", "-")

    @property
    def order(self) -> list[str]:
        """Names of all rows, those that run and those that are cited, as the table has them."""
        names = list(self.rows)
        for row in self.cited.values():
            names.insert(row.place, row.name)
        return names

    def compared(self) -> list[Row]:
        """The rows that are compared with another one: all but the baseline."""
        return [row for row in self.rows.values() if row.name != self.baseline]


_KEYS = {
    "study": (
        *("name", "question", "source", "claim", "baseline", "seeds", "experiment", "overrides", "evaluation", "margins", "alpha"),
        *("fork", "prepare", "rows"),
    ),
    "evaluation": ("decides", "metrics", "overrides", "info"),
    "row": ("cited", "label", "experiment", "change", "overrides", "draw", "against", "published", "literature"),
}  # fmt: skip


def load_study(path: str | Path) -> Study:
    """A study from its file.

    Its runs lie in <run.root>/<name>, so two studies must not have one name. The name is the key `name` of the file, with that of its
    family before it where it has one (claims/schedule); without it that of the folder for a file that is called study.yaml, and of the
    file itself for others (ablation.yaml: ablation).
    """
    path = Path(path)
    try:
        node = read_yaml(path, Strict)
    except FileError as error:
        raise StudyError(str(error)) from error
    place = path.resolve()
    study = read_study(node, place.parent.name if place.stem == "study" else place.stem, str(path))
    return replace(study, file=place)


def read_study(node: Any, name: str, where: str) -> Study:
    """A study from the content of its file.

    Args:
        name: Where the file gives none.
        where: Is named in errors.
    """
    node = mapping(node, where, _KEYS["study"])
    for key in ("question", "baseline", "seeds", "evaluation", "rows"):
        if key not in node:
            raise StudyError(
                f"{where} lacks {key!r}: a study has a question, a baseline, seeds, an evaluation and rows"
            )
    if "name" in node:
        name = "" if node["name"] is None else str(node["name"])
    origin = "the study's name" if "name" in node else "the study's name, which its key `name` would change,"
    check_study_name(name, f"{where}: {origin}")
    seeds = node["seeds"]
    if not isinstance(seeds, list) or not seeds or any(type(s) is not int or s < 0 for s in seeds):
        raise StudyError(f"{where}: seeds = {seeds!r}: expected a list of whole numbers from 0 on, as [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise StudyError(f"{where}: seeds = {seeds} names one seed twice: a replicate counts once")
    alpha = number(node.get("alpha", 0.05), f"{where}: alpha")
    if not 0 < alpha < 0.5:
        raise StudyError(f"{where}: alpha = {alpha}: expected a level such as 0.05")
    evaluation = _evaluation(node["evaluation"], f"{where}: evaluation")
    margins = mapping(node.get("margins", {}), f"{where}: margins", evaluation.metrics)
    for metric, margin in margins.items():
        try:
            margins[metric] = read_margin(margin)
        except ValueError as error:
            raise StudyError(f"{where}: margins.{metric} = {error}") from error
    baseline, inner = str(node["baseline"]), mapping(node["rows"], f"{where}: rows", None)
    if baseline not in inner:
        raise StudyError(f"{where}: baseline = {baseline}: {there_are(baseline, inner, 'row')}")
    if is_cited(inner[baseline], f"{where}: row {baseline}"):
        raise StudyError(
            f"{where}: row {baseline} is the baseline, and cited: it has no seeds to compare with; choose a row that runs as baseline"
        )
    rows, cited = dict[str, Row](), dict[str, CitedRow]()
    for place, (key, value) in enumerate(inner.items()):
        row_name, row_where = str(key), f"{where}: row {key}"
        if is_cited(value, row_where):
            cited[row_name] = read_cited(row_name, value, place, evaluation.metrics, row_where)
        else:
            rows[row_name] = _row(row_name, value, node, row_where)
    for row in rows.values():
        if row.against in cited:
            raise StudyError(
                f"{where}: row {row.name}: against = {row.against}, which is cited: it has no seeds to compare with; name a row that runs"
            )
        if row.against not in rows:
            raise StudyError(f"{where}: row {row.name}: against = {row.against}: {there_are(row.against, rows, 'row')}")
        if row.against == row.name and row.name != baseline:
            raise StudyError(f"{where}: row {row.name} is compared with itself: name another row in `against`")
    return Study(
        name=name,
        question=" ".join(str(node["question"]).split()),
        baseline=baseline,
        seeds=tuple(seeds),
        overrides=texts(node.get("overrides", []), f"{where}: overrides"),
        evaluation=evaluation,
        rows=rows,
        margins=margins,
        alpha=alpha,
        source=node.get("source"),
        claim=None if node.get("claim") is None else " ".join(str(node["claim"]).split()),
        cited=cited,
        fork=read_fork(node["fork"], inner, where) if "fork" in node else None,
        prepare=read_preparation(node, inner, where),
    )


def _evaluation(node: Any, where: str) -> Evaluation:
    node = mapping(node, where, _KEYS["evaluation"])
    if "decides" not in node:
        raise StudyError(f"{where} lacks 'decides': the metric on which the verdict is given")
    decides = str(node["decides"])
    metrics = texts(node.get("metrics", [decides]), f"{where}.metrics")
    if decides not in metrics:
        raise StudyError(f"{where}.metrics = {list(metrics)} does not have the deciding metric {decides!r}")
    stated = mapping(node.get("info", {}), f"{where}.info", metrics)
    infos = {metric: _info(one, f"{where}.info.{metric}") for metric, one in stated.items()}
    return Evaluation(decides, metrics, texts(node.get("overrides", []), f"{where}.overrides"), infos)


def _info(node: Any, where: str) -> MetricInfo:
    from difflab.metrics import MetricInfo  # with all metrics, which not everybody needs who needs a study

    try:
        return MetricInfo.read(node, where)
    except ValueError as error:
        raise StudyError(str(error)) from error


def _row(name: str, node: Any, study: Mapping[str, Any], where: str) -> Row:
    node = mapping({} if node is None else node, where, _KEYS["row"])
    check_name(name, where)
    experiment = node.get("experiment", study.get("experiment"))
    if experiment is None:
        raise StudyError(f"{where} lacks 'experiment', and the study names none for all rows")
    change = texts(node.get("change", []), f"{where}.change")
    if name == study["baseline"] and (change or "against" in node):
        raise StudyError(f"{where} is the baseline: it has nothing to change, and is compared with no other row")
    if name != study["baseline"] and not change:
        raise StudyError(f"{where} lacks 'change': say which keys it may change, for example [network.norm]")
    return Row(
        name=name,
        label=str(node.get("label", name)),
        experiment=str(experiment),
        change=change,
        overrides=texts(node.get("overrides", []), f"{where}.overrides"),
        draw=texts(node.get("draw", []), f"{where}.draw"),
        against=str(node.get("against", study["baseline"])),
        published=published_targets(node, where),
        literature=read_literature(node["literature"], f"{where}.literature") if "literature" in node else None,
    )
