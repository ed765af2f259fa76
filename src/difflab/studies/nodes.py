"""What a study's file holds, checked, and the published results that it cites."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from difflab.suggest import suggestion

if TYPE_CHECKING:
    from difflab.evaluation.published import Target


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


class StudyError(ValueError):
    """A study that cannot be run; the message names file, row and key."""


def check_name(name: str, where: str) -> None:
    """The name of a study or a row is that of a folder."""
    if not NAME.fullmatch(name):
        raise StudyError(
            f"{where}: {name!r} is the name of a folder: use letters, digits, and . _ + = -, a letter or digit first"
        )


def check_study_name(name: str, where: str) -> None:
    """The name of a study is that of a folder, or of one in the folder of its family: claims/schedule."""
    family, _, own = name.rpartition("/")
    for part in (family, own) if family else (name,):
        check_name(part, where)


def mapping(node: Any, where: str, keys: Collection[str] | None) -> dict[str, Any]:
    """Names with values, each name one of `keys`; None allows all."""
    if not isinstance(node, Mapping):
        raise StudyError(f"{where}: expected names with values, got {node!r}")
    for key in node:
        if keys is not None and key not in keys:
            raise StudyError(f"{where}: unknown key {key!r}; {suggestion(str(key), keys)}")
    return dict(node)


def texts(node: Any, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(node, list) or not all(isinstance(text, str) for text in node):
        raise StudyError(f"{where} = {node!r}: expected a list of texts, as [network.width=64]")
    return tuple(node)


def number(value: Any, where: str) -> float:
    """A number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(f"{where} = {value!r}: expected a number")
    return float(value)


def there_are(name: str, names: Collection[str], what: str) -> str:
    """What an error says of a name that none of the known ones is."""
    return f"there is no such {what}; {suggestion(name, names)}"


class Strict(yaml.SafeLoader):
    """A name that stands twice is an error, and not the last of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"{key.value!r} stands twice, the second time in line {key.start_mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_KEYS = ("cited", "label", "published")


@dataclass(frozen=True)
class CitedRow:
    """A published result that stands in the table beside the study's rows.

    It has no experiment and no runs: it is trained, drawn, paid for and tested by nobody here, and no row is compared with it.

    Attributes:
        name: Key of the row.
        label: What the table calls it.
        published: Metric -> the number that a source gives.
        place: Position in the table, from 0.
    """

    name: str
    label: str
    published: Mapping[str, Target]
    place: int

    @property
    def sentence(self) -> str:
        """All of it in one line: each metric's number, and each source once."""
        numbers = ", ".join(f"{metric} {target.value:g}" for metric, target in self.published.items())
        sources = dict.fromkeys(target.source for target in self.published.values())
        return f"{self.label}: {numbers} ({'; '.join(sources)})"


def is_cited(node: Any, where: str) -> bool:
    """Whether a row of the file says so of itself."""
    cited = node.get("cited", False) if isinstance(node, Mapping) else False
    if not isinstance(cited, bool):
        raise StudyError(f"{where}: cited = {cited!r}: expected true for a published result that nothing runs for")
    return cited


def read_cited(name: str, node: Mapping[str, Any], place: int, metrics: Sequence[str], where: str) -> CitedRow:
    """The row; a StudyError if it asks for a run, or has a number that no column would show.

    Args:
        name: Key of the row.
        node: What the file says of it.
        place: Position in the table, from 0.
        metrics: Those that the study reports.
        where: Named in errors.
    """
    for key in node:
        if key not in _KEYS:
            raise StudyError(
                f"{where} is cited, and nothing runs for it: it has a label and what was published, and no {key!r}"
            )
    check_name(name, where)
    targets = published_targets(node, where)
    if not targets:
        raise StudyError(
            f"{where} is cited: give `published`, as {{{metrics[0]}: {{value: ..., source: ..., confidence: paper}}}}"
        )
    for key, target in targets.items():
        if key not in metrics or target.metric != key:
            raise StudyError(
                f"{where}.published.{key} would not be shown: name metrics that the study reports, {', '.join(metrics)}"
            )
    return CitedRow(name, str(node.get("label", name)), targets, place)


def published_targets(node: Mapping[str, Any], where: str) -> dict[str, Target]:
    """Metric -> published number."""
    published = mapping(node.get("published", {}), f"{where}.published", None)
    from difflab.evaluation.published import Target  # with all metrics, which not everybody needs who needs a study

    try:
        return {str(key): Target.read(str(key), value) for key, value in published.items()}
    except ValueError as error:
        raise StudyError(f"{where}.published: {error}") from error


DIRECTIONS = ("better", "worse", "equivalent")


@dataclass(frozen=True)
class Literature:
    """A claim of others about a row.

    Attributes:
        finds: Better, worse or equivalent: how the row does against the row that it is compared with.
        says: The finding in a few words, with numbers where there are some.
        source: Where that stands.
    """

    finds: str
    says: str
    source: str


def read_literature(node: Any, where: str) -> Literature:
    """The claim; a StudyError says what it lacks."""
    node = mapping(node, where, ("finds", "says", "source"))
    for key in ("finds", "says", "source"):
        if not isinstance(node.get(key), str) or not node[key].strip():
            raise StudyError(f"{where} lacks {key!r}: give {{finds: {' | '.join(DIRECTIONS)}, says: ..., source: ...}}")
    if node["finds"] not in DIRECTIONS:
        raise StudyError(f"{where}.finds = {node['finds']}: {suggestion(node['finds'], DIRECTIONS)}")
    return Literature(node["finds"], " ".join(node["says"].split()), " ".join(node["source"].split()))
